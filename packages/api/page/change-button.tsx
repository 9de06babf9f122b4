import type { JSX } from 'preact';
import { type Question, type Answers, useAsk, send } from './ask.tsx';

/** A window of the subject. */
interface Place {
  readonly policy: string;
  readonly action: string;
}

interface ChangeButtonProps {
  readonly subject: string;
  /** Called when it was done. */
  readonly onDone?: () => void;
  readonly kind: keyof typeof changes;
  /** Absent: under every policy. */
  readonly place?: Place;
}

const changes = {
  unblock: {
    label: 'Unblock',
    text: (who: string, where: string) =>
      `${who} can use ${where} again, at once and in the whole fleet. Units that were used stay used.`,
    done: (who: string) => `${who} is unblocked. Tables follow in a few seconds.`,
    path: ({ policy }: Place) => `/v1/limits/${encodeURIComponent(policy)}/unblock`,
  },
  reset: {
    label: 'Reset',
    text: (who: string, where: string) => `Clears what ${who} used of ${where}, and its block, in the whole fleet.`,
    done: (who: string) => `${who} is reset. Tables follow in a few seconds.`,
    path: ({ policy }: Place) => `/v1/limits/${encodeURIComponent(policy)}/reset`,
  },
  everywhere: {
    label: 'Unblock everywhere',
    text: (who: string) => `${who} is no longer blocked under every policy. Blocks of single policies stay.`,
    done: (who: string) => `${who} is no longer blocked everywhere.`,
    path: () => '/v1/subjects/unblock',
  },
} as const;

/** A button that asks, with a reason that the trail keeps, and then does it by the same routes as any other client. */
export function ChangeButton({ subject, onDone, kind, place }: ChangeButtonProps): JSX.Element {
  const ask = useAsk();
  const { label, text, done, path } = changes[kind];
  const where = place === undefined ? '' : `${place.action} under ${place.policy}`;
  const question: Question = {
    label,
    text: text(subject, where),
    done: done(subject),
    danger: kind === 'reset',
    fields: ['why'],
    act: async ({ why }: Answers) => {
      const body = {
        subject,
        ...(place === undefined ? {} : { action: place.action }),
        ...(why === '' ? {} : { why }),
      };
      const answer = await send('POST', path(place ?? { policy: '', action: '' }), body);
      if (answer.ok) onDone?.();
      return answer;
    },
  };
  const name = place === undefined ? `${label}: ${subject}` : `${label} ${subject}, ${where}`;
  return (
    <button type="button" aria-label={name} onClick={() => ask(question)}>
      {label}
    </button>
  );
}
