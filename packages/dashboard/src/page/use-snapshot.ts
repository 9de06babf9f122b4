import { useEffect, useState } from 'preact/hooks';
import type { RangeName, Snapshot } from '../snapshot.ts';

/** What the page knows, and whether it still hears. */
export type Feed =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live'; readonly snapshot: Snapshot }
  /** The connection is gone; the browser tries again by itself. */
  | { readonly kind: 'stale'; readonly snapshot: Snapshot | undefined }
  /** The session is over. */
  | { readonly kind: 'signed-out' };

/** Listens to the server's snapshots of a range until the component goes. */
export function useSnapshot(range: RangeName): Feed {
  const [feed, setFeed] = useState<Feed>({ kind: 'connecting' });
  useEffect(() => {
    const source = new EventSource(`/dashboard/events?range=${range}`);
    source.addEventListener('snapshot', (event) => {
      const snapshot: Snapshot = JSON.parse(event.data);
      setFeed({ kind: 'live', snapshot });
    });
    source.addEventListener('signed-out', () => {
      source.close();
      setFeed({ kind: 'signed-out' });
    });
    source.addEventListener('error', () => {
      setFeed((known) => (known.kind === 'live' ? { kind: 'stale', snapshot: known.snapshot } : known));
      // A refused request closes the source for good: most likely the session is over. Whoever shows us asks.
      if (source.readyState === EventSource.CLOSED) setFeed({ kind: 'signed-out' });
    });
    return () => source.close();
  }, [range]);
  return feed;
}
