/** A caller passed an option that can't work. The message names the option and the value. */
export class InvalidOptionError extends Error {
  override readonly name: string = 'InvalidOptionError';
  readonly code = 'invalid_option' as const;
  /** The option's name as the caller writes it. */
  readonly option: string;
  /** What was passed. */
  readonly value: unknown;

  constructor(option: string, value: unknown, expected: string) {
    super(
      `Option "${option}" must be ${expected}, got ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`,
    );
    this.option = option;
    this.value = value;
  }
}

/**
 * Returns `value` when it is a whole number from `minimum` to `maximum`, both included.
 * @throws {InvalidOptionError} otherwise, naming the option.
 */
export function wholeNumber(option: string, value: number, minimum: number, maximum: number = LARGEST): number {
  if (!Number.isSafeInteger(value) || value < minimum || value > maximum) {
    throw new InvalidOptionError(option, value, `a whole number from ${minimum} to ${maximum}`);
  }
  return value;
}

/** Postgres' and Node's timers hold 31 bits. */
const LARGEST = 2_147_483_647;
