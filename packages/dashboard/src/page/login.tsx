import type { JSX, TargetedSubmitEvent } from 'preact';
import { useState } from 'preact/hooks';
import { send } from './api.ts';
import { textOf } from './text-of.ts';

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
      <h1>Spillway</h1>
      {notice === undefined ? null : <p role="status">{notice}</p>}
      <form onSubmit={(event) => void submit(event)}>
        <label for="key">API key with the scope read or admin</label>
        <input
          id="key"
          name="key"
          type="password"
          autocomplete="current-password"
          required
          autofocus
          aria-describedby={problem === undefined ? undefined : 'problem'}
        />
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
