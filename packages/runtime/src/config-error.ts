/**
 * A variable that is missing or makes no sense. The message names it and shows its value, without credentials:
 * `REDIS_URL must be a redis:// or rediss:// URL, got "http://***@cache"`. Of a variable whose name says that it holds a
 * secret it shows the length alone.
 */
export class ConfigError extends Error {
  readonly code = 'invalid_config';
  override readonly name = 'ConfigError';
  /** The variable, as it is written in the environment. */
  readonly variable: string;

  /**
   * @param expected completes "must be".
   * @param value undefined when the variable is not set.
   */
  constructor(variable: string, expected: string, value: string | undefined) {
    super(
      `${variable} must be ${expected}, ${value === undefined ? 'but is not set' : `got ${shown(variable, value)}`}`,
    );
    this.variable = variable;
  }
}

/**
 * A value as it may stand in a log: without what precedes its last @, save a scheme. Only a real scheme is let through,
 * because a password may hold slashes and line breaks too.
 */
function shown(variable: string, value: string): string {
  if (/SECRET|PASSWORD|PASSPHRASE|TOKEN|CREDENTIAL|(^|_)KEY/u.test(variable)) return `${value.length} characters`;
  return JSON.stringify(value.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/isu, '$1***@'));
}
