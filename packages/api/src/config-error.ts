/** A variable that is missing or makes no sense. The message names it and shows its value, without credentials. */
export class ConfigError extends Error {
  readonly code = 'invalid_config';
  override readonly name = 'ConfigError';
  readonly variable: string;

  constructor(variable: string, expected: string, value: string | undefined) {
    super(`${variable} must be ${expected}, ${value === undefined ? 'but is not set' : `got ${shown(value)}`}`);
    this.variable = variable;
  }
}

/** A value as it may stand in a log: without what precedes an @. */
function shown(value: string): string {
  return JSON.stringify(value.replace(/(^|\/\/).*@/u, '$1***@'));
}
