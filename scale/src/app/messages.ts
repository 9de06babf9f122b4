/** What an API process is asked. */
export type AppQuestion = { readonly kind: 'vitals' };

/** What it answers, and that it listens. */
export type AppEvent =
  | { readonly kind: 'listening'; readonly port: number }
  | {
      readonly kind: 'vitals';
      /** Live bytes of the heap and of buffers, after a garbage collection. */
      readonly liveBytes: number;
      /** Decisions that were made without Redis, since the start. */
      readonly decidedWithoutRedis: number;
      /** Audit events that found the outbox full, since the start. */
      readonly droppedEvents: number;
    };
