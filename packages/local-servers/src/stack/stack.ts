import { invalidOption } from '../errors.ts';

/**
 * What runs the servers: Docker containers, local processes, or somebody else (their addresses come from
 * `REDIS_URL` and `DATABASE_URL`, and they are never stopped by us).
 */
export type Stack = 'containers' | 'local' | 'external';

/** @throws LocalServerError `invalid_option` for anything that is not a {@link Stack} */
export function parseStack(option: string, value: string): Stack {
  if (value === 'containers' || value === 'local' || value === 'external') return value;
  throw invalidOption(option, value, "'containers', 'local' or 'external'");
}
