import type { RedisFault, RedisFaultCode } from '../fault.ts';

/** Which of the codes of Redis' faults the API can cause. `unknown_command`: it has no such policy, or no such route. */
export type ApiFaultCode = Extract<
  RedisFaultCode,
  | 'not_connected'
  | 'no_answer'
  | 'busy'
  | 'error_answer'
  | 'authentication'
  | 'access_denied'
  | 'unknown_command'
  | 'client_error'
>;

const MEANINGS: Readonly<Record<ApiFaultCode, readonly [RedisFault['kind'], string]>> = {
  not_connected: ['outage', 'the API cannot be reached'],
  no_answer: ['outage', 'the API did not answer in time'],
  busy: ['outage', 'the API asks for fewer requests'],
  error_answer: ['outage', 'the API could not answer'],
  authentication: ['installation', 'the API does not know the key'],
  access_denied: [
    'installation',
    'the key lacks a scope: decide for limits, report for breakers, operate for changes by hand',
  ],
  unknown_command: ['installation', 'the API has no such policy, or the URL is not that of an API'],
  client_error: ['installation', 'the API refuses the request, or its answer cannot be read'],
};

/**
 * What went wrong between Spillway and its API. It carries no key, no subject and no address. `outage`: it passes;
 * `installation`: it stays until an operator fixes it.
 */
export class ApiFault extends Error {
  override readonly name: string = 'ApiFault';
  /** One of {@link ApiFaultCode}. */
  readonly code: RedisFaultCode;
  readonly kind: RedisFault['kind'];
  /** The status of the answer, the field that was refused, or the code of the system's error. */
  readonly detail?: string;

  constructor(code: ApiFaultCode, detail?: string) {
    const [kind, meaning] = MEANINGS[code];
    super(detail === undefined ? meaning : `${meaning} (${detail})`);
    this.code = code;
    this.kind = kind;
    if (detail !== undefined) this.detail = detail;
  }
}

/** What an answer other than 2xx says. */
export function faultOfStatus(status: number, detail: string = String(status)): ApiFault {
  if (status === 401) return new ApiFault('authentication', detail);
  if (status === 403) return new ApiFault('access_denied', detail);
  if (status === 404 || status === 405 || status < 400) return new ApiFault('unknown_command', detail);
  if (status === 429) return new ApiFault('busy', detail);
  return status >= 500 ? new ApiFault('error_answer', detail) : new ApiFault('client_error', detail);
}

/** What a rejection of `fetch` says: there is no connection. */
export function faultOfFetch(error: unknown): ApiFault {
  if (error instanceof ApiFault) return error;
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  const code: unknown = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  return new ApiFault('not_connected', typeof code === 'string' ? code : undefined);
}
