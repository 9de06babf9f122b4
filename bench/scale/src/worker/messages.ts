/** What a worker is asked. */
export type WorkerQuestion = { readonly kind: 'vitals' };

/** What it answers: live bytes of its heap and of its buffers, after a garbage collection. */
export type WorkerEvent = { readonly kind: 'vitals'; readonly liveBytes: number };
