import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Answer } from './api.ts';
import { textOf } from './text-of.ts';

interface ConfirmProps {
  /** The button that opens the question. */
  readonly label: string;
  /** What will happen, for whom. */
  readonly question: string;
  readonly danger?: boolean;
  /** Whether to ask for a reason, which the trail keeps. */
  readonly askWhy?: boolean;
  readonly act: (why: string) => Promise<Answer>;
}

/** How long the button says that it was done, in ms. */
const DONE_MS = 4_000;

/** A button that asks before it acts. */
export function Confirm(props: ConfirmProps): JSX.Element {
  const { label, danger = false } = props;
  const [open, setOpen] = useState(false);
  const [done, setDone] = useState(false);
  const leave = (acted: boolean): void => {
    setOpen(false);
    if (!acted) return;
    setDone(true);
    setTimeout(() => setDone(false), DONE_MS);
  };
  return (
    <>
      <button type="button" class={danger ? 'danger' : ''} onClick={() => setOpen(true)}>
        {done ? 'Done' : label}
      </button>
      {open ? <Question {...props} onLeave={leave} /> : null}
    </>
  );
}

interface QuestionProps extends ConfirmProps {
  readonly onLeave: (acted: boolean) => void;
}

/** The question, in a dialog that the keyboard can answer: Enter acts, Escape leaves. */
function Question({ label, question, danger = false, askWhy = false, act, onLeave }: QuestionProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [problem, setProblem] = useState<string>();
  useEffect(() => dialog.current?.showModal(), []);
  const confirm = async (form: HTMLFormElement): Promise<void> => {
    const answer = await act(textOf(form, 'why'));
    if (answer.ok) onLeave(true);
    else setProblem(answer.reason);
  };
  return (
    <dialog ref={dialog} onClose={() => onLeave(false)} aria-label={label}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void confirm(event.currentTarget);
        }}
      >
        <p>{question}</p>
        {askWhy ? (
          <label>
            Why (kept in the trail)
            <input name="why" maxLength={200} />
          </label>
        ) : null}
        {problem === undefined ? null : (
          <p role="alert" class="bad">
            {problem}
          </p>
        )}
        <div class="choices">
          <button type="button" onClick={() => onLeave(false)}>
            Cancel
          </button>
          <button type="submit" class={danger ? 'danger' : 'primary'} autofocus={!askWhy}>
            {label}
          </button>
        </div>
      </form>
    </dialog>
  );
}
