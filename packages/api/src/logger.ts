import { describeError, type LogLevel } from '@spillway/runtime';
import { type DestinationStream, type Logger, pino } from 'pino';

/** What the API needs of a logger; pino's fits, and so does a child of it. */
export type ApiLogger = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Headers that carry secrets. No code logs a header today; this protects later code. */
const secretHeaders = ['authorization', 'cookie', 'set-cookie', 'x-api-key'];

/**
 * A structured logger (one JSON object a line) that never writes a key or an authorization header.
 * @param destination where lines go. @default standard output
 */
export function createLogger(
  { name, level }: { readonly name: string; readonly level: LogLevel },
  destination?: DestinationStream,
): Logger {
  const paths = secretHeaders.flatMap((header) => [`["${header}"]`, `*["${header}"]`, `*.*["${header}"]`]);
  const options = {
    name,
    level,
    redact: { paths, censor: '***' },
    serializers: { err: (error: unknown) => describeError(error) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
