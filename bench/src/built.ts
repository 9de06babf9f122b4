import { fileURLToPath } from 'node:url';

/**
 * The path of a program of the bench as it is built, by its place in `dist`. The bench and what it starts run as users run what they
 * install: what runs TypeScript wraps each function that is made during a call.
 */
export function built(file: string): string {
  return fileURLToPath(new URL(`../dist/${file}`, import.meta.url));
}
