import type { RedisFault, RedisFaultCode } from '../fault.ts';

/** After a failure one request in so many ms tries again, in ms. */
const RETRY_MS = 250;

/** The longest that a `Retry-After` keeps requests away. */
const MAX_RETRY_MS = 10_000;

/** What is needed of `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** What {@link apiCalls} is made with. */
export interface ApiCallsOptions {
  /** Without a slash at its end. */
  readonly url: string;
  readonly key: string;
  readonly deadlineMs: number;
  readonly fetch: Fetch;
  /** The API answered. */
  readonly onAnswer: () => void;
}

/** A fault of one request; the API itself is available. */
export class RefusedRequest extends Error {
  readonly fault: ApiFault;
  /** Names of the fields that the API refused. */
  readonly fields: readonly string[];

  constructor(fault: ApiFault, fields: readonly string[]) {
    super(fault.message);
    this.fault = fault;
    this.fields = fields;
  }
}

/** Calls to the API. */
export interface ApiCalls {
  /**
   * Posts JSON; resolves to the answer's body, undefined for 204.
   * @param startedAt when the answer was asked for, by the monotonic clock: the deadline counts from then.
   * @param onSent called when the request is sent: unless it is, nothing of it can have been carried out.
   * @throws {ApiFault} at the deadline at the latest, and at once while the API is away.
   * @throws {RefusedRequest} for a request that the API refuses.
   */
  post(path: string, body: unknown, startedAt?: number, onSent?: () => void): Promise<unknown>;
}

/**
 * Calls with a deadline. After a failure the API counts as away: one request at a time tries it, every {@link RETRY_MS},
 * and all others fail at once. Nothing is sent twice: a request without an answer may have been carried out.
 */
export function apiCalls({ url, key, deadlineMs, fetch, onAnswer }: ApiCallsOptions): ApiCalls {
  let away: { readonly fault: ApiFault; nextAt: number } | undefined;

  function fail(fault: ApiFault, retryMs = RETRY_MS): ApiFault {
    away = { fault, nextAt: performance.now() + retryMs };
    return fault;
  }

  /** @throws {ApiFault} while it is another request's turn to try. */
  function enter(now: number): void {
    if (away === undefined) return;
    if (now < away.nextAt) throw away.fault;
    away.nextAt = now + Math.max(RETRY_MS, deadlineMs);
  }

  async function send(path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const answer = await fetch(url + path, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json', Accept: 'application/json' },
      body: JSON.stringify(body),
      // A key must not be sent where a redirect points.
      redirect: 'manual',
      signal,
    });
    if (answer.ok) return answered(answer.status === 204 ? undefined : await readable(answer));
    // Any other status is about this request: its policy, its size, the scope that it needs.
    if (!isOfAll(answer.status)) {
      const fields = fieldsOf(await answer.json().catch(() => undefined));
      onAnswer();
      away = undefined;
      throw new RefusedRequest(faultOfStatus(answer.status, fields[0]), fields);
    }
    void answer.body?.cancel().catch(() => undefined);
    throw fail(faultOfStatus(answer.status), retryAfterMs(answer));
  }

  function answered(body: unknown): unknown {
    away = undefined;
    onAnswer();
    return body;
  }

  return {
    post(path, body, startedAt = performance.now(), onSent = () => undefined) {
      return new Promise((resolve, reject) => {
        enter(performance.now());
        onSent();
        const ending = new AbortController();
        const timer = setTimeout(
          () => {
            reject(fail(new ApiFault('no_answer')));
            ending.abort();
          },
          Math.max(0, deadlineMs - (performance.now() - startedAt)),
        );
        send(path, body, ending.signal)
          .then(resolve, (error: unknown) => {
            if (ending.signal.aborted) return;
            reject(error instanceof RefusedRequest || error instanceof ApiFault ? error : fail(faultOfFetch(error)));
          })
          .finally(() => clearTimeout(timer));
      });
    },
  };
}

/** Whether a status says that all other requests would fail as well. */
function isOfAll(status: number): boolean {
  return status >= 500 || status === 401 || status === 429;
}

async function readable(answer: Response): Promise<unknown> {
  const text = await answer.text();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new ApiFault('client_error', 'no JSON');
  }
}

function retryAfterMs(answer: Response): number {
  const seconds = Number(answer.headers.get('Retry-After') ?? 0);
  return Number.isFinite(seconds) ? Math.min(MAX_RETRY_MS, Math.max(RETRY_MS, 1_000 * seconds)) : RETRY_MS;
}

/** The fields that a problem document names. */
function fieldsOf(problem: unknown): readonly string[] {
  const errors: unknown = typeof problem === 'object' && problem !== null && 'errors' in problem ? problem.errors : [];
  if (!Array.isArray(errors)) return [];
  return errors.flatMap((error: unknown) =>
    typeof error === 'object' && error !== null && 'field' in error && typeof error.field === 'string'
      ? [error.field]
      : [],
  );
}

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
    'the key lacks a scope: decide for limits, report for breakers, operate for manual changes',
  ],
  unknown_command: ['installation', 'the API has no such policy, or the URL is not that of an API'],
  client_error: ['installation', 'the API refuses the request, or its answer cannot be read'],
};

/**
 * A fault between Spillway and its API. It contains no key, subject or address. `outage`: it passes;
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
function faultOfStatus(status: number, detail: string = String(status)): ApiFault {
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
