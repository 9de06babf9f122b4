import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type CsvColumns, isoTime } from './csv.ts';
import { count } from './format.ts';
import { Moment, type Column, Table, type OpenBreaker } from './panel.tsx';
import { send } from './ask.tsx';

/** An event as `GET /v1/audit/breaker-events` gives it. */
interface BreakerEvent {
  readonly id: string;
  readonly eventType: string;
  readonly failureCount: number;
  readonly errorMessage: string | null;
  readonly metadata: { readonly reason?: unknown; readonly who?: unknown; readonly why?: unknown };
  readonly createdAtMs: number;
}

interface EventsPage {
  readonly rows: readonly BreakerEvent[];
  readonly next: string | null;
}

const PAGE = 50;

interface HistoryProps {
  readonly breaker: OpenBreaker;
  readonly onLeave: () => void;
}

/** What happened to one breaker, newest first, in a dialog that Escape leaves. */
export function History({ breaker, onLeave }: HistoryProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [{ rows, next }, setEvents] = useState<EventsPage>({ rows: [], next: null });
  const [state, setState] = useState<'reading' | 'ready' | { readonly problem: string }>('reading');
  const read = async (after: string | null): Promise<void> => {
    setState('reading');
    const query = new URLSearchParams({ ...breaker, limit: String(PAGE), ...(after === null ? {} : { after }) });
    const answer = await send<EventsPage>('GET', `/v1/audit/breaker-events?${query}`);
    if (!answer.ok) return setState({ problem: answer.reason });
    setEvents((known) => ({
      rows: [...(after === null ? [] : known.rows), ...answer.data.rows],
      next: answer.data.next,
    }));
    setState('ready');
  };
  useEffect(() => {
    dialog.current?.showModal();
    void read(null);
  }, []);
  return (
    <dialog ref={dialog} class="large" onClose={onLeave} aria-labelledby="history">
      <h2 id="history">
        History of {breaker.breakerName} <span class="tag">{breaker.preset}</span>
      </h2>
      <p class="about">Transitions, and the failures and successes between them. Newest first.</p>
      {rows.length === 0 && state !== 'ready' ? null : (
        <Table
          label={`History of ${breaker.breakerName}`}
          columns={columns}
          rows={rows}
          keyOf={({ id }) => id}
          csv={csv}
          empty="No event of it is kept."
        />
      )}
      {typeof state === 'string' ? null : (
        <p role="alert" class="bad">
          {state.problem}
        </p>
      )}
      <div class="choices">
        {next === null ? null : (
          <button type="button" aria-disabled={state === 'reading'} onClick={() => void read(next)}>
            Older
          </button>
        )}
        <button type="button" class="primary" autofocus onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The cause of an event. Manual: who and why; automatic: the reason; failure: the error. */
function causeOf({ metadata: { reason, who, why }, errorMessage }: BreakerEvent): string {
  const byHand = [text(why), text(who) === '' ? '' : `(${text(who)})`];
  return (
    [text(reason).replaceAll('_', ' '), ...byHand, errorMessage ?? ''].filter((part) => part !== '').join(' ') || '–'
  );
}

const columns: readonly Column<BreakerEvent>[] = [
  { title: 'When', cell: ({ createdAtMs }) => <Moment atMs={createdAtMs} /> },
  {
    title: 'Event',
    cell: ({ eventType }) => <span class={`state ${stateOf[eventType] ?? ''}`}>{eventType.replace('_', ' ')}</span>,
  },
  { title: 'Failures', number: true, cell: ({ failureCount }) => count(failureCount) },
  {
    title: 'Cause',
    text: true,
    cell: (event) => (
      <span class="long" title={causeOf(event)}>
        {causeOf(event)}
      </span>
    ),
  },
];

/** The state that an event leads to. */
const stateOf: Readonly<Record<string, string>> = { opened: 'open', closed: 'closed', half_open: 'half_open' };

const csv: CsvColumns<BreakerEvent> = {
  at: ({ createdAtMs }) => isoTime(createdAtMs),
  event: ({ eventType }) => eventType,
  failures: ({ failureCount }) => failureCount,
  reason: ({ metadata }) => text(metadata.reason),
  who: ({ metadata }) => text(metadata.who),
  why: ({ metadata }) => text(metadata.why),
  error: ({ errorMessage }) => errorMessage,
};
