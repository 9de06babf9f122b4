/** The value that `share` of the values lie below, by nearest rank; NaN of none. @param share 0 to 1 */
export function quantile(values: readonly number[], share: number): number {
  const index = Math.min(values.length - 1, Math.floor(values.length * share));
  return values.toSorted((one, other) => one - other)[index] ?? Number.NaN;
}

/** The middle value; the upper of the two middle ones. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
