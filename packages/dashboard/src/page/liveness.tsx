import type { JSX } from 'preact';
import type { Feed } from './use-snapshot.ts';

/** Whether the figures are those of now. Only a change is announced: the time stands beside it. */
export function Liveness({ feed }: { readonly feed: Feed }): JSX.Element {
  const at = 'snapshot' in feed ? feed.snapshot?.nowMs : undefined;
  return (
    <p class={`liveness ${feed.kind}`}>
      <span role="status">{words(feed.kind)}</span>
      {at === undefined ? null : (
        <time>
          {' '}
          {new Date(at).toISOString().slice(11, 19)}
          <span class="zone"> UTC</span>
        </time>
      )}
    </p>
  );
}

function words(kind: Feed['kind']): string {
  switch (kind) {
    case 'live':
      return 'live';
    case 'stale':
      return 'no connection, trying again; figures of';
    default:
      return 'connecting …';
  }
}
