/** An option that can't work. `code` is `invalid_option`. */
export class RedisOptionError extends Error {
  readonly code = 'invalid_option';
  override readonly name = 'RedisOptionError';
  readonly option: string;

  constructor(option: string, expected: string, value: unknown) {
    super(`option "${option}" must be ${expected}, got ${JSON.stringify(value)}`);
    this.option = option;
  }
}

/** @throws {RedisOptionError} unless `name` can be part of a key. */
export function checkKeyName(option: string, name: string): void {
  if (!/^[a-z0-9_-]{1,64}$/.test(name)) throw new RedisOptionError(option, '1 to 64 of a-z, 0-9, _ and -', name);
}

/** @throws {RedisOptionError} unless `value` is a whole number from `min` to `max`. */
export function checkWhole(option: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RedisOptionError(option, `a whole number from ${min} to ${max}`, value);
  }
}
