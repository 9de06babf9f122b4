import { type ComponentChildren, createContext, type JSX } from 'preact';
import { useCallback, useContext, useEffect, useRef, useState } from 'preact/hooks';

/** The fields of a confirmed question. */
export interface Answers {
  /** Empty when nothing was. */
  readonly why: string;
  /** How long the change applies; undefined: without an end. */
  readonly forMs: number | undefined;
}

/** Something to confirm before it happens. */
export interface Question {
  /** The button that does it. */
  readonly label: string;
  /** What will happen, and to which subject. */
  readonly text: string;
  /** What to say when it was done. */
  readonly done: string;
  readonly danger?: boolean;
  /** Whether to ask for a reason, which the trail keeps, and for how long. */
  readonly fields?: readonly ('why' | 'forMs')[];
  readonly act: (said: Answers) => Promise<Answer>;
}

type Ask = (question: Question) => void;

const Asking = createContext<Ask>(() => undefined);

/** Asks a question in a dialog. */
export function useAsk(): Ask {
  return useContext(Asking);
}

/** How long it says that something was done, in ms. */
const DONE_MS = 6_000;

/**
 * Holds the one dialog of the page. It is above the panels, so that new figures can remove the row that it was opened
 * from without closing it.
 */
export function AskProvider({ children }: { readonly children: ComponentChildren }): JSX.Element {
  const [asked, setAsked] = useState<{ readonly id: number; readonly question: Question }>();
  const count = useRef(0);
  const [done, setDone] = useState<string>();
  useEffect(() => {
    if (done === undefined) return undefined;
    const timer = setTimeout(() => setDone(undefined), DONE_MS);
    return () => clearTimeout(timer);
  }, [done]);
  const ask = useCallback<Ask>((question) => setAsked({ id: (count.current += 1), question }), []);
  return (
    <Asking.Provider value={ask}>
      {children}
      {asked === undefined ? null : (
        <Dialog
          key={asked.id}
          question={asked.question}
          onLeave={(acted) => {
            // A browser reports a closed dialog a moment later: the next one may be open by then.
            setAsked((now) => (now === asked ? undefined : now));
            if (acted) setDone(asked.question.done);
          }}
        />
      )}
      <p role="status" class={done === undefined ? 'hidden' : 'toast'}>
        {done}
      </p>
    </Asking.Provider>
  );
}

interface DialogProps {
  readonly question: Question;
  readonly onLeave: (acted: boolean) => void;
}

/** The question, which the keyboard can answer: Enter acts, Escape leaves, and focus goes back where it was. */
function Dialog({ question, onLeave }: DialogProps): JSX.Element {
  const { label, text, danger = false, fields = [], act } = question;
  const dialog = useRef<HTMLDialogElement>(null);
  const acted = useRef(false);
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const confirm = async (form: HTMLFormElement): Promise<void> => {
    if (busy) return;
    setBusy(true);
    const forMs = Number(textOf(form, 'forMs'));
    const answer = await act({ why: textOf(form, 'why').trim(), forMs: forMs > 0 ? forMs : undefined });
    setBusy(false);
    if (!answer.ok) {
      setProblem(answer.reason);
      return;
    }
    acted.current = true;
    // Closing gives the focus back; taking the dialog away would lose it.
    dialog.current?.close();
  };
  return (
    <dialog
      ref={dialog}
      onClose={() => onLeave(acted.current)}
      aria-labelledby="question"
      aria-describedby="what-happens"
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void confirm(event.currentTarget);
        }}
      >
        <h2 id="question">{label}</h2>
        <p id="what-happens">{text}</p>
        {fields.includes('why') ? <Why /> : null}
        {fields.includes('forMs') ? <HowLong /> : null}
        {problem === undefined ? null : (
          <p role="alert" class="bad">
            {problem}
          </p>
        )}
        <div class="choices">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button
            type="submit"
            class={danger ? 'primary danger' : 'primary'}
            aria-disabled={busy}
            autofocus={!fields.includes('why')}
          >
            {label}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function Why(): JSX.Element {
  return (
    <label>
      Reason (kept in the audit trail)
      <input name="why" maxLength={200} autocomplete="off" autofocus />
    </label>
  );
}

function HowLong(): JSX.Element {
  return (
    <label>
      For how long
      <select name="forMs">
        <option value="">until somebody ends it</option>
        <option value="300000">5 minutes</option>
        <option value="900000">15 minutes</option>
        <option value="3600000">1 hour</option>
      </select>
    </label>
  );
}

/** What was typed into a field of a form; empty when there is no such field. */
export function textOf(form: HTMLFormElement, field: string): string {
  const value = new FormData(form).get(field);
  return typeof value === 'string' ? value : '';
}

/** What the server said to something that the page asked for. */
type Answer<Data = unknown> =
  | { readonly ok: true; readonly data: Data }
  | { readonly ok: false; readonly status: number; readonly reason: string };

/**
 * Asks the API that served the page, with JSON if there is a body; `data` is the JSON of the answer, undefined where it has none.
 * Never rejects: a network failure is an answer with status 0.
 */
export async function send<Data = unknown>(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<Answer<Data>> {
  try {
    const response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) return { ok: false, status: response.status, reason: await reasonOf(response) };
    const text = await response.text();
    return { ok: true, data: text === '' ? undefined : JSON.parse(text) };
  } catch {
    return { ok: false, status: 0, reason: 'The server cannot be reached.' };
  }
}

/** The detail of a problem document, or its title. */
async function reasonOf(response: Response): Promise<string> {
  try {
    const problem: unknown = await response.json();
    if (typeof problem === 'object' && problem !== null) {
      if ('detail' in problem && typeof problem.detail === 'string') return problem.detail;
      if ('title' in problem && typeof problem.title === 'string') return problem.title;
    }
  } catch {
    // Not JSON: the status says enough.
  }
  return `The server answered ${response.status}.`;
}
