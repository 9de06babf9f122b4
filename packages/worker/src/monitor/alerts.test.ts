import { type Sample, listPendingNotifications, migrate, openAlert, resolveAlerts } from '@spillway/db';
import { expect, it, afterEach, beforeEach, describe } from 'vitest';
import { compare, defaultAlertRules } from './alert-rules.ts';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { usePostgres } from '@spillway/local-servers/testing';
import { createWebhook, verifyWebhook, type Webhook } from './webhook.ts';
import { recordingLogger, type RecordingLogger } from '../../test/helpers.ts';

function sample(name: string, value: number, tags: Record<string, string> = {}): Sample {
  return { name, value, unit: 'ms', tags };
}

describe('rules of alerts', () => {
  it('a value at its threshold is met, one beyond it violates', () => {
    const rules = [{ rule: 'r', metric: 'm', above: 10, below: 5 }];
    const broken = (value: number): number[] =>
      compare(rules, [sample('m', value)]).violations.map((each) => each.threshold);
    expect([4, 5, 10, 11].map(broken)).toEqual([[5], [], [], [10]]);
  });

  it('each tag has an alert of its own, and a rule may be for one tag only', () => {
    const rules = [
      { rule: 'late', metric: 'age', tags: { job: 'a' }, above: 1 },
      { rule: 'any', metric: 'age', above: 7 },
    ];
    const samples = [sample('age', 5, { job: 'a' }), sample('age', 9, { job: 'b' })];
    const { violations, met } = compare(rules, samples);
    expect(violations.map(({ rule }) => rule)).toEqual(['late/a', 'any/b']);
    expect(met).toEqual(['any/a']);
  });

  it('a rule whose metric nobody measured is neither met nor violated', () => {
    expect(compare(defaultAlertRules, [])).toEqual({ violations: [], met: [] });
  });
});

describe('the webhook', () => {
  const postgres = usePostgres({
    migrate: async (url) => {
      await migrate({ connectionString: url });
    },
    template: 'worker',
    scope: 'test',
  });
  const secret = 'a secret of the receiver';
  const violation = { rule: 'lag', value: 90, threshold: 60, details: {} };

  /** The receiver, who answers these statuses in turn and 200 afterwards. */
  let receiver: Server;
  let answers: number[];
  let received: { headers: IncomingHttpHeaders; body: string }[];
  let logger: RecordingLogger;

  beforeEach(async () => {
    answers = [];
    received = [];
    logger = recordingLogger();
    receiver = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
        response.writeHead(answers.shift() ?? 200).end();
      });
    });
    await new Promise<void>((resolve) => {
      receiver.listen(0, '127.0.0.1', resolve);
    });
  });
  afterEach(() => {
    receiver.close();
    receiver.closeAllConnections();
  });

  function webhook(): Webhook {
    const { port } = receiver.address() as AddressInfo;
    return createWebhook({ url: `http://127.0.0.1:${port}/alerts`, secret, logger, retryDelayMs: 1 });
  }

  const events = (): string[] => received.map(({ body }) => JSON.parse(body).event);

  it('tells once when an alert opens and once when it is resolved, signed', async () => {
    await openAlert(postgres.pool, violation);
    await webhook().deliverPending(postgres.pool);
    await webhook().deliverPending(postgres.pool);
    await resolveAlerts(postgres.pool, ['lag']);
    await webhook().deliverPending(postgres.pool);
    expect(events()).toEqual(['opened', 'resolved']);
    const [first] = received;
    expect(JSON.parse(first?.body ?? '')).toMatchObject({ alert: { rule: 'lag', value: 90, threshold: 60 } });
    expect(first?.headers['content-type']).toBe('application/json');
    const message = {
      secret,
      timestamp: String(first?.headers['x-spillway-timestamp']),
      signature: String(first?.headers['x-spillway-signature']),
      body: first?.body ?? '',
    };
    expect(verifyWebhook(message)).toBe(true);
    expect(verifyWebhook({ ...message, body: message.body.replace('90', '91') })).toBe(false);
    expect(verifyWebhook({ ...message, secret: 'another secret' })).toBe(false);
    expect(verifyWebhook({ ...message, signature: '' })).toBe(false);
    expect(verifyWebhook({ ...message, nowMs: Date.now() + 301_000 })).toBe(false);
    expect(verifyWebhook({ ...message, timestamp: 'soon' })).toBe(false);
  });

  it('tries again when the receiver is overloaded', async () => {
    answers = [503, 429, 500];
    await openAlert(postgres.pool, violation);
    await webhook().deliverPending(postgres.pool);
    expect(events()).toHaveLength(4);
    expect(await listPendingNotifications(postgres.pool)).toEqual([]);
  });

  it('does not insist when the receiver refuses, says so, and tells it the next time', async () => {
    answers = [400];
    await openAlert(postgres.pool, violation);
    await webhook().deliverPending(postgres.pool);
    expect(events()).toHaveLength(1);
    expect(logger.messages).toEqual(['alert: the webhook could not be delivered']);
    await webhook().deliverPending(postgres.pool);
    expect(await listPendingNotifications(postgres.pool)).toEqual([]);
  });

  it('keeps what it could not tell because nobody listened', async () => {
    await openAlert(postgres.pool, violation);
    const away = createWebhook({ url: 'http://127.0.0.1:1/', secret, logger, retryDelayMs: 1, retries: 1 });
    await away.deliverPending(postgres.pool);
    expect(await listPendingNotifications(postgres.pool)).toHaveLength(1);
  });

  describe('refuses', () => {
    it.each([
      ['url', { url: 'ftp://x', secret }],
      ['secret', { url: 'https://x', secret: 'short' }],
      ['retries', { url: 'https://x', secret, retries: -1 }],
    ])('a bad %s', (option, options) => {
      expect(() => createWebhook({ ...options, logger })).toThrow(expect.objectContaining({ option }));
    });
  });
});
