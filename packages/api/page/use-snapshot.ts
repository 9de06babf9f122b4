import { useEffect, useState } from 'preact/hooks';
import type { Filter, RangeName, Snapshot } from '../src/dashboard/snapshot-shape.ts';

/** The last snapshot, and whether the connection is open. */
export type SnapshotStream =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live'; readonly snapshot: Snapshot }
  /** The connection is gone, and tried again. */
  | { readonly kind: 'stale'; readonly snapshot: Snapshot | undefined }
  /** The session is over. */
  | { readonly kind: 'signed-out' };

/** How long to wait before a refused connection is tried again, in ms. */
const AGAIN_MS = 2_000;

/** Listens to the server's snapshots of a range and a filter until the component goes. Those of the range before stay until then. */
export function useSnapshot(range: RangeName, { tier, action }: Filter): SnapshotStream {
  const [feed, setFeed] = useState<SnapshotStream>({ kind: 'connecting' });
  useEffect(() => {
    const query = new URLSearchParams({ range, tier: tier ?? '', action: action ?? '' });
    return listen(`/dashboard/events?${query}`, setFeed);
  }, [range, tier, action]);
  return feed;
}

function listen(
  address: string,
  setFeed: (next: SnapshotStream | ((known: SnapshotStream) => SnapshotStream)) => void,
): () => void {
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let gone = false;
  const open = (): void => {
    source = new EventSource(address);
    source.addEventListener('snapshot', (event) => {
      const snapshot: Snapshot = JSON.parse(event.data);
      setFeed({ kind: 'live', snapshot });
    });
    source.addEventListener('signed-out', () => {
      source.close();
      setFeed({ kind: 'signed-out' });
    });
    source.addEventListener('error', () => {
      setFeed((known) => ({ kind: 'stale', snapshot: 'snapshot' in known ? known.snapshot : undefined }));
      // A lost connection the browser tries again; one that was refused it gives up.
      if (source.readyState === EventSource.CLOSED) void refused();
    });
  };
  const refused = async (): Promise<void> => {
    const over = await isOver();
    if (gone) return;
    if (over) setFeed({ kind: 'signed-out' });
    else timer = setTimeout(open, AGAIN_MS);
  };
  open();
  return () => {
    gone = true;
    clearTimeout(timer);
    source.close();
  };
}

/** Whether it was refused because the session is over, and not because something is down. */
async function isOver(): Promise<boolean> {
  try {
    const { status } = await fetch('/dashboard/session');
    return status === 401 || status === 403;
  } catch {
    return false;
  }
}
