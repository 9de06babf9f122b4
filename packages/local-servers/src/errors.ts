/**
 * Why a server could not be brought up or handled.
 *
 * - `invalid_option`: an option is out of range; the message names it and the value.
 * - `redis_unavailable` / `postgres_unavailable` / `pgbouncer_unavailable`: no way to run it on this machine.
 * - `install_failed`: the package manager refused; `output` has its last lines.
 * - `start_failed`: the server ended, or did not answer before its deadline; `output` has its last lines.
 * - `port_taken`: something else listens on the port that was asked for.
 * - `not_owned`: an external server can be used but not stopped, killed, paused or restarted.
 * - `not_running`: the operation needs a running server.
 * - `containers_unavailable`: containers were asked for and no Docker engine answers.
 * - `not_supported`: this combination of stack and operation does not exist.
 */
export type LocalServerErrorCode =
  | 'invalid_option'
  | 'redis_unavailable'
  | 'postgres_unavailable'
  | 'pgbouncer_unavailable'
  | 'install_failed'
  | 'start_failed'
  | 'port_taken'
  | 'not_owned'
  | 'not_running'
  | 'containers_unavailable'
  | 'not_supported';

/** What an {@link LocalServerError} may carry beside its code and message. */
export interface LocalServerErrorDetails {
  /** Last lines that the server or installer printed, oldest first. */
  readonly output?: readonly string[];
  readonly cause?: unknown;
}

/** The only error class of this package. */
export class LocalServerError extends Error {
  override readonly name = 'LocalServerError';
  /** Stable reason, see {@link LocalServerErrorCode}. */
  readonly code: LocalServerErrorCode;
  /** Last lines that the server or installer printed, oldest first; empty where nothing ran. */
  readonly output: readonly string[];

  constructor(code: LocalServerErrorCode, message: string, details: LocalServerErrorDetails = {}) {
    const { output = [], cause } = details;
    super(output.length === 0 ? message : `${message}\n${output.join('\n')}`, cause === undefined ? {} : { cause });
    this.code = code;
    this.output = output;
  }
}

/** The error for an option that is out of range. */
export function invalidOption(option: string, value: unknown, expected: string): LocalServerError {
  return new LocalServerError(
    'invalid_option',
    `${option} must be ${expected}, got ${JSON.stringify(value) ?? String(value)}`,
  );
}
