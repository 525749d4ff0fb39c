// Codes of units: `H26.05` is below `H26`.

/** Whether a unit is this one or below it. */
export function isWithin(unit: string, above: string): boolean {
  return unit === above || unit.startsWith(`${above}.`);
}
