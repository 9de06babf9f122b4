/**
 * What the process ends with:
 * - `ok` 0: done.
 * - `failed` 1: it went wrong.
 * - `usage` 2: the command line or a variable is wrong; nothing was done.
 * - `partial` 3: done in part, or somebody else is doing it; run it again.
 * - `unhealthy` 4: `doctor` found something to change, or `audit reconcile` something missing.
 * - `unavailable` 5: Redis or Postgres can't be reached.
 */
export const exitCodes = { ok: 0, failed: 1, usage: 2, partial: 3, unhealthy: 4, unavailable: 5 } as const;

/** One of the codes. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** They as `--help` tells them. */
export const exitCodeHelp = `
Exit codes:
  0  done
  1  it went wrong
  2  the command line or a variable is wrong; nothing was done
  3  done in part, or another process is doing it: run it again
  4  doctor found something to change, or reconcile something missing
  5  Redis or Postgres can not be reached`;
