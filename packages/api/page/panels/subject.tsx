import type { JSX, TargetedSubmitEvent } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Nothing, Moment } from '../panel.tsx';
import { textOf, send } from '../ask.tsx';
import { type LookUp, SubjectTables } from './subject-tables.tsx';
import { ChangeButton } from '../change-button.tsx';

interface SubjectPanelProps {
  readonly subject: string;
  readonly nowMs: number;
  readonly mayChange: boolean;
  readonly onClose: () => void;
}

type State =
  | { readonly kind: 'reading' }
  | { readonly kind: 'ready'; readonly found: LookUp; readonly readAtMs: number }
  | { readonly kind: 'failed'; readonly reason: string };

/** All that is known of one subject: its windows, overrides, list entries and blocks, and what can be done about it. */
export function SubjectPanel({ subject, nowMs, mayChange, onClose }: SubjectPanelProps): JSX.Element {
  const title = useRef<HTMLHeadingElement>(null);
  const [state, setState] = useState<State>({ kind: 'reading' });
  const [action, setAction] = useState('');
  const read = async (of: string): Promise<void> => {
    const body = { subject, ...(of === '' ? {} : { action: of }) };
    const answer = await send<LookUp>('POST', '/v1/subjects/look-up', body);
    const readAtMs = Date.now();
    setState(answer.ok ? { kind: 'ready', found: answer.data, readAtMs } : { kind: 'failed', reason: answer.reason });
  };
  // The focus moves to the result: a screen reader reads it, and the keyboard continues from there.
  useEffect(() => {
    title.current?.focus();
    title.current?.scrollIntoView({ block: 'nearest' });
    void read('');
  }, []);
  const askAgain = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const wanted = textOf(event.currentTarget, 'action').trim();
    setAction(wanted);
    void read(wanted);
  };
  const onChanged = mayChange ? () => void read(action) : undefined;
  return (
    <section class="panel wide subject-panel" aria-labelledby="panel-subject">
      <h2 id="panel-subject" ref={title} tabIndex={-1}>
        Subject <code>{subject}</code>
      </h2>
      <form onSubmit={askAgain}>
        <label>
          Action
          <input name="action" placeholder="all that are known" autocomplete="off" spellcheck={false} />
        </label>
        <button type="submit">Look again</button>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </form>
      <div aria-live="polite">
        {state.kind === 'reading' ? <Nothing>Looking …</Nothing> : null}
        {state.kind === 'failed' ? <p class="bad">It can’t be looked up: {state.reason}</p> : null}
        {state.kind === 'ready' ? <Listed found={state.found} onChanged={onChanged} /> : null}
      </div>
      {state.kind === 'ready' ? (
        <>
          <SubjectTables found={state.found} nowMs={nowMs} onChanged={onChanged} />
          <p class="about">
            As it was at <Moment atMs={state.readAtMs} />.
          </p>
        </>
      ) : null}
    </section>
  );
}

interface ListedProps {
  readonly found: LookUp;
  /** Undefined: the key may only read. */
  readonly onChanged: (() => void) | undefined;
}

/** What holds whatever the policy, in words. */
function Listed({ found, onChanged }: ListedProps): JSX.Element {
  const { allowed, denied, blockedEverywhereUntilMs: until } = found;
  return (
    <>
      {until === undefined ? null : (
        <p class="bad">
          Blocked under every policy{' '}
          {until === null ? (
            'until it is unblocked'
          ) : (
            <>
              until <Moment atMs={until} />
            </>
          )}
          .{' '}
          {onChanged === undefined ? null : (
            <ChangeButton subject={found.subject} onDone={onChanged} kind="everywhere" />
          )}
        </p>
      )}
      {denied.length === 0 ? null : <p class="bad">Always refused: on the deny list by {denied.join(', ')}.</p>}
      {allowed.length === 0 ? null : (
        <p>
          {denied.length > 0 ? 'Also on the allow list by' : 'Always admitted and not counted: on the allow list by'}{' '}
          {allowed.join(', ')}.
        </p>
      )}
    </>
  );
}
