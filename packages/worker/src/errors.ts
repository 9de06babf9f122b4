import { NAMESPACE_PATTERN } from '@spillway/redis';

/** An option that can't work. The message names the option and the bad value. */
export class WorkerOptionError extends Error {
  readonly code = 'invalid_option';
  override readonly name = 'WorkerOptionError';
  /** The option, as the caller writes it. */
  readonly option: string;
  /** What was passed. */
  readonly value: unknown;

  constructor(option: string, value: unknown, expected: string) {
    super(
      `option "${option}" must be ${expected}, got ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`,
    );
    this.option = option;
    this.value = value;
  }
}

/**
 * Returns `value` when it is a whole number from `minimum` to `maximum`.
 * @throws {WorkerOptionError} otherwise.
 */
export function wholeNumber(option: string, value: number, minimum: number, maximum: number): number {
  if (!Number.isSafeInteger(value) || value < minimum || value > maximum) {
    throw new WorkerOptionError(option, value, `a whole number from ${minimum} to ${maximum}`);
  }
  return value;
}

/**
 * A namespace; `''` for none.
 * @throws {WorkerOptionError} unless it can be part of keys and channels.
 */
export function checkedNamespace(value = ''): string {
  if (value !== '' && !NAMESPACE_PATTERN.test(value)) {
    throw new WorkerOptionError('namespace', value, '1 to 64 of a-z, 0-9, _ and -');
  }
  return value;
}
