import { createHmac, timingSafeEqual } from 'node:crypto';
import { listPendingNotifications, markDelivered, type Queryable, type PendingNotification } from '@spillway/db';
import type { WorkerLogger } from '../logger.ts';
import { wholeNumber, WorkerOptionError } from '../options.ts';

import pRetry, { AbortError } from 'p-retry';

/** Where alerts are posted to. */
export interface WebhookOptions {
  /** `https://…` or `http://…`. */
  readonly url: string;
  /** Shared secret by which the receiver verifies the signature; at least 16 characters. */
  readonly secret: string;
  readonly logger: Pick<WorkerLogger, 'warn'>;
  /** Tries after the first that failed. @default 4 */
  readonly retries?: number;
  /** Pause before the first of them, in ms; it doubles each time. @default 500 */
  readonly retryDelayMs?: number;
}

/** Sends alerts to a receiver. */
export interface Webhook {
  /** Sends the pending notifications. Never rejects: those that fail are sent again the next time. */
  deliverPending(db: Queryable): Promise<void>;
}

/** Longest wait for an answer, in ms. */
const TIMEOUT_MS = 5_000;

/**
 * Makes a webhook. Each alert is posted when it opens and when it is resolved, as JSON; possibly twice, then with the same
 * `alert.id` and `event`. `x-spillway-timestamp` is epoch seconds, and `x-spillway-signature` is `v1=` and the HMAC-SHA256
 * of timestamp, a dot and the body, in hex. Responses of 2xx count as delivered; those of 4xx other than 408 and 429 are not retried.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function createWebhook(options: WebhookOptions): Webhook {
  const { url, secret, logger } = options;
  // The value may hold a password: never repeat it.
  if (!isWebhookUrl(url)) throw new WorkerOptionError('url', '(hidden)', 'an http(s):// URL without credentials');
  if (secret.length < 16) throw new WorkerOptionError('secret', '(hidden)', 'at least 16 characters long');
  const retries = wholeNumber('retries', options.retries ?? 4, 0, 20);
  const minTimeout = wholeNumber('retryDelayMs', options.retryDelayMs ?? 500, 1, 60_000);
  return {
    async deliverPending(db) {
      for (const alert of await listPendingNotifications(db)) {
        try {
          await pRetry(async () => post(url, secret, alert), { retries, minTimeout, maxTimeout: 10_000 });
        } catch (error) {
          logger.warn({ err: error, rule: alert.rule }, 'alert: the webhook could not be delivered');
          // The others would wait for the same receiver.
          return;
        }
        await markDelivered(db, alert);
      }
    },
  };
}

/** Whether alerts can be posted there. fetch refuses a URL with credentials, and its error repeats them. */
export function isWebhookUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/u.test(protocol) && username === '' && password === '';
}

async function post(url: string, secret: string, untold: PendingNotification): Promise<void> {
  const { event, openedAtMs, resolvedAtMs, ...rest } = untold;
  const resolvedAt = resolvedAtMs === null ? null : new Date(resolvedAtMs);
  const body = JSON.stringify({ event, alert: { ...rest, openedAt: new Date(openedAtMs), resolvedAt } });
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-spillway-timestamp': timestamp,
      'x-spillway-signature': sign(secret, timestamp, body),
    },
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await response.body?.cancel();
  if (response.ok) return;
  const error = new Error(`the receiver answered ${response.status}`);
  const { status } = response;
  throw status >= 400 && status < 500 && status !== 408 && status !== 429 ? new AbortError(error) : error;
}

function sign(secret: string, timestamp: string, body: string): string {
  return `v1=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;
}

/** What a receiver got. */
export interface ReceivedWebhook {
  readonly secret: string;
  /** Header `x-spillway-timestamp`. */
  readonly timestamp: string;
  /** Header `x-spillway-signature`. */
  readonly signature: string;
  /** As it was sent, not parsed and printed again. */
  readonly body: string;
  /** Epoch milliseconds. @default this process' clock */
  readonly nowMs?: number;
  /** How old a message may be, in ms. @default 300_000 */
  readonly toleranceMs?: number;
}

/** For receivers: whether a message has a valid signature and is recent. Compares in constant time. */
export function verifyWebhook(received: ReceivedWebhook): boolean {
  const { secret, timestamp, signature, body, nowMs = Date.now(), toleranceMs = 300_000 } = received;
  if (!(Math.abs(nowMs - Number(timestamp) * 1_000) <= toleranceMs)) return false;
  const expected = Buffer.from(sign(secret, timestamp, body));
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
