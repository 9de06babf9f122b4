import type { AuditEvent, Command, Reply, View } from '../machine/record.ts';

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
   * Asks about all breakers of a process at once. What it names as changed has to be read, and then it may turn out to be
   * known already; of breakers that the process begins to use it may say so once too often. Never rejects.
   */
  poll<K extends Known>(known: readonly K[]): Promise<PollAnswer<K>>;
  /**
   * Hears announcements. They are hints that come fast and may be lost: `onListening` is called each time that listening
   * begins, and what was announced before has to be read then.
   */
  listen(onAnnouncement: (announcement: Announcement) => void, onListening: () => void): Listening;
  close(): Promise<void>;
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
