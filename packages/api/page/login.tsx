import type { JSX, TargetedSubmitEvent } from 'preact';
import { useState } from 'preact/hooks';
import { send } from './api.ts';
import { textOf } from './ask.tsx';

interface LoginProps {
  /** Why there is a login, if there is something to say. */
  readonly notice?: string | undefined;
  readonly onIn: () => void;
}

/** Asks for an API key that may read. It goes to the server once, and comes back as a cookie that no script can read. */
export function Login({ notice, onIn }: LoginProps): JSX.Element {
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const key = textOf(event.currentTarget, 'key').trim();
    setBusy(true);
    const answer = await send('POST', '/dashboard/session', { key });
    setBusy(false);
    if (answer.ok) onIn();
    else setProblem(answer.reason);
  };
  return (
    <main class="login">
      <h1>
        <Mark /> Spillway
      </h1>
      {notice === undefined ? null : (
        <p role="status" class="notice">
          {notice}
        </p>
      )}
      <form onSubmit={(event) => void submit(event)}>
        <input type="text" name="username" autocomplete="username" value="spillway" hidden readOnly />
        <label for="key">API key</label>
        <input
          id="key"
          name="key"
          type="password"
          autocomplete="current-password"
          required
          autofocus
          aria-invalid={problem !== undefined}
          aria-describedby={problem === undefined ? 'scopes' : 'problem scopes'}
        />
        <small id="scopes">One with the scope read or admin.</small>
        {problem === undefined ? null : (
          <p id="problem" role="alert" class="bad">
            {problem}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy}>
          Log in
        </button>
      </form>
    </main>
  );
}

/** The mark of the page's icon, in the theme's colour. */
function Mark(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="var(--accent)" />
      <path
        d="M5 12c4-4 7 4 11 0s7 4 11 0M5 20c4-4 7 4 11 0s7 4 11 0"
        fill="none"
        stroke="var(--on-accent)"
        stroke-width="3"
        stroke-linecap="round"
      />
    </svg>
  );
}
