/** Postgres' text and jsonb hold every character but NUL, and what applications name or throw may hold that too. */
export function storable(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text;
}
