import { useEffect, useState } from 'preact/hooks';
import {
  type Filter,
  type RangeName,
  type Snapshot,
  type WorkerState,
  workerOf,
} from '../src/dashboard/snapshot-shape.ts';
import type { JSX } from 'preact';
import { clock, time, utc, zoneName } from './format.ts';

/** The last snapshot, and whether the connection is open. */
type SnapshotStream =
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

/** A replica that is less far behind counts as current, in ms. */
const SHOWN_FROM_MS = 2_000;

const seconds = (ms: number): number => Math.round(ms / 1000);

/** Whether the figures are current. Only a change is announced to screen readers: the time is outside of the status. */
export function ConnectionStatus({ feed }: { readonly feed: SnapshotStream }): JSX.Element {
  const snapshot = 'snapshot' in feed ? feed.snapshot : undefined;
  const at = snapshot?.nowMs;
  const behind = snapshot?.behindMs ?? null;
  const worker = snapshot === undefined ? undefined : workerOf(snapshot);
  const isOld = worker?.kind === 'gone' || worker?.kind === 'never';
  return (
    <p class={`connection-status ${isOld && feed.kind === 'live' ? 'stale' : feed.kind}`}>
      <span role="status" title={worker?.kind === 'gone' ? utc(worker.sinceMs) : undefined}>
        {feed.kind === 'live' && worker !== undefined ? ofWorker(worker) : words(feed.kind)}
      </span>
      {behind === null || behind < SHOWN_FROM_MS ? null : (
        <span class="behind"> · replica {seconds(behind)} s behind</span>
      )}
      {at === undefined ? null : (
        <time dateTime={new Date(at).toISOString()} title={utc(at)}>
          {' '}
          {time(at)}
          <span class="zone"> {zoneName(at)}</span>
        </time>
      )}
    </p>
  );
}

function ofWorker(worker: WorkerState): string {
  if (worker.kind === 'gone') return `no worker since ${clock(worker.sinceMs)}: figures are old`;
  return worker.kind === 'never' ? 'no worker has reported' : 'live';
}

function words(kind: SnapshotStream['kind']): string {
  switch (kind) {
    case 'live':
      return 'live';
    case 'stale':
      return 'no connection, trying again; figures of';
    default:
      return 'connecting …';
  }
}
