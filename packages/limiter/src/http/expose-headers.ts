/** The header by which a browser lets a page of another origin read others. */
export const EXPOSE_HEADERS = 'Access-Control-Expose-Headers';

/** Adds names to the value of `Access-Control-Expose-Headers`; those that are there already stay as they are. */
export function exposeHeaders(current: string | null | undefined, names: readonly string[]): string {
  const listed = (current ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const known = new Set(listed.map((name) => name.toLowerCase()));
  return [...listed, ...names.filter((name) => !known.has(name.toLowerCase()))].join(', ');
}
