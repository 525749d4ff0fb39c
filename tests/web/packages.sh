# To be sourced: installs exactly what package-lock.json has, where that has changed; no package runs anything.
if ! cmp -s package-lock.json node_modules/installed; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel error
  cp package-lock.json node_modules/installed
fi
