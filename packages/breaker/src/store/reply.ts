import type { MachineConfig, Reply, View } from '../machine/record.ts';
import type { Announcement } from './store.ts';

/** The store answered with something else than it promises. */
export class UnexpectedReplyError extends Error {
  readonly code = 'unexpected_reply';
  override readonly name = 'UnexpectedReplyError';
}

/** A reply as it travels. Without a config the command's own holds. */
export type WireReply = Omit<Reply, 'config'> & { readonly config?: MachineConfig };

/** Reads a reply that travelled as JSON. @throws {UnexpectedReplyError} */
export function readReply(value: unknown, config: MachineConfig): Reply {
  if (!isReply(value)) throw new UnexpectedReplyError(`not a breaker's reply: ${JSON.stringify(value)?.slice(0, 100)}`);
  return { config, ...value };
}

/** Reads what was published; undefined when it is something else. */
export function parseAnnouncement(text: string): Announcement | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isAnnouncement(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const VERDICTS: ReadonlySet<unknown> = new Set<Reply['verdict']>([
  'granted',
  'pass',
  'denied',
  'settled',
  'expired',
  'done',
  'ignored',
]);

const KINDS: ReadonlySet<unknown> = new Set<View['kind']>([
  'closed',
  'open',
  'half_open',
  'forced_open',
  'forced_closed',
]);

const TIMES = ['epoch', 'sinceMs', 'untilMs', 'openings', 'alertUntilMs', 'nowMs'] as const;

function isReply(value: unknown): value is WireReply {
  if (!isObject(value) || !isView(value['view']) || !VERDICTS.has(value['verdict'])) return false;
  const { config, movedFrom } = value;
  const isConfigured = config === undefined || (isObject(config) && Number.isFinite(config['version']));
  return isConfigured && (movedFrom === '' || KINDS.has(movedFrom)) && Number.isFinite(value['retryAfterMs']);
}

function isAnnouncement(value: unknown): value is Announcement {
  return (
    isObject(value) && typeof value['preset'] === 'string' && typeof value['name'] === 'string' && isView(value['view'])
  );
}

/** Calls go by it: a time that is none would keep them from ever flowing again. */
function isView(value: unknown): value is View {
  return isObject(value) && KINDS.has(value['kind']) && TIMES.every((name) => Number.isFinite(value[name]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
