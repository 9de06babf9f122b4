/**
 * Reads something at most once at a time, and again `maxAgeMs` after the end of that, whoever asks and however often. While
 * the source is slow all wait for the one read that is under way; a read that failed is not kept.
 */
export function keepFor<Value>(maxAgeMs: number, read: () => Promise<Value>): () => Promise<Value> {
  let kept: { readonly value: Promise<Value>; readAt: number | undefined } | undefined;
  return () => {
    const isFresh = kept !== undefined && (kept.readAt === undefined || performance.now() - kept.readAt < maxAgeMs);
    if (kept !== undefined && isFresh) return kept.value;
    const next: NonNullable<typeof kept> = { value: read(), readAt: undefined };
    kept = next;
    next.value.then(
      () => (next.readAt = performance.now()),
      () => {
        if (kept === next) kept = undefined;
      },
    );
    return next.value;
  };
}
