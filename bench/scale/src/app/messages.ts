/** A state of the fleet's breaker, as a process heard of it. */
export interface HeardState {
  readonly state: string;
  /** The breaker's: another one after every transition. */
  readonly epoch: number;
}

/** What an API process is asked. */
export type AppQuestion = { readonly kind: 'vitals' };

/** What it answers, and that it listens. */
export type AppEvent =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'breaker'; readonly heard: HeardState }
  | {
      readonly kind: 'vitals';
      /** Live bytes of the heap and of buffers, after a garbage collection. */
      readonly liveBytes: number;
      /** Decisions that were made without Redis, since the start. */
      readonly decidedWithoutRedis: number;
      /** Audit events that found the outbox full, since the start. */
      readonly droppedEvents: number;
      /** What this process knows of the fleet's breaker. */
      readonly breaker: HeardState;
    };
