import { BreakerInputError, shown } from '../errors.ts';
import type { AuditEvent, Command, Reply, View, MachineConfig } from '../machine/record.ts';

/** Which breaker: a dependency may have one under each preset. */
export interface BreakerId {
  readonly preset: string;
  readonly name: string;
}

/** What is published when a breaker changes. */
export interface Announcement extends BreakerId {
  readonly view: View;
}

/** An event of the trail and whose it is. */
export interface BreakerAuditEvent extends BreakerId, AuditEvent {
  readonly atMs: number;
}

/** What an instance knows of a breaker. */
export interface Known {
  readonly id: BreakerId;
  readonly view: Pick<View, 'epoch' | 'alertUntilMs'>;
}

/** Of breakers that were asked about together: those that may have changed, and those of which the store says nothing. */
export interface PollAnswer<K> {
  readonly changed: readonly K[];
  readonly unreachable: readonly K[];
}

/** A running {@link BreakerStore.listen}. */
export interface Listening {
  /** True while announcements arrive. */
  readonly isLive: boolean;
  close(): void;
}

/** Where the fleet's breakers are kept. Every store carries commands out as `step` does, one at a time for a breaker. */
export interface BreakerStore {
  /**
   * Carries out a command.
   * @throws {StoreUnavailableError} when the answer is not there in time; the command may have been carried out then.
   */
  execute(id: BreakerId, command: Command): Promise<Reply>;
  /**
   * Asks which breakers of a process have changed. A breaker that it names must be read, and may turn out to be unchanged.
   * Never rejects.
   */
  poll<K extends Known>(known: readonly K[]): Promise<PollAnswer<K>>;
  /**
   * Receives announcements. They are fast hints that may be lost: `onListening` is called each time that listening begins,
   * and the breakers must be read then.
   */
  listen(onAnnouncement: (announcement: Announcement) => void, onListening: () => void): Listening;
  close(): Promise<void>;
}

const STORE_FUNCTIONS = ['execute', 'poll', 'listen', 'close'] as const satisfies readonly (keyof BreakerStore)[];

/** @throws {BreakerInputError} unless it has what a store has. */
export function checkStore(value: unknown): asserts value is BreakerStore {
  if (isObject(value) && STORE_FUNCTIONS.every((name) => typeof value[name] === 'function')) return;
  throw new BreakerInputError('store', `must be what httpStore or memoryStore makes, not ${shown(value)}`);
}

/** The store did not answer in time. */
export class StoreUnavailableError extends Error {
  readonly code = 'store_unavailable';
  override readonly name = 'StoreUnavailableError';
  /** False: the command was not sent. True: it is not known whether it was carried out. */
  readonly sent: boolean;

  constructor(reason: string, sent: boolean, cause?: unknown) {
    super(`the breakers' store is unavailable: ${reason}`, { cause });
    this.sent = sent;
  }
}

/** The key of a breaker within a process. */
export function breakerKey({ preset, name }: BreakerId): string {
  return `${preset}/${name}`;
}

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
