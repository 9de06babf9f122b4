import { maskSecrets } from '../mask.ts';
import { defaultClassifier } from './classify.ts';
import { errorText } from './error-text.ts';
import { answered, type Classifier, neutral, type Outcome, success } from './outcome.ts';
import { forget, member, textMember } from './read.ts';

const DAY_MS = 86_400_000;

/**
 * A classifier of somebody else's making, kept from hanging calls: where it throws, or gives something else than an
 * outcome, the default one decides, and the process is warned once.
 */
export function guarded(classifier: Classifier): Classifier {
  if (classifier === defaultClassifier) return classifier;
  let warned = false;
  const decide = (ask: () => unknown, otherwise: () => Outcome): Outcome => {
    let given: unknown;
    let problem = 'gave no outcome';
    try {
      given = ask();
      const outcome = outcomeIn(given);
      if (outcome !== undefined) return outcome;
      forget(given);
    } catch (error) {
      problem = `threw: ${errorText(error)}`;
    }
    if (!warned) process.emitWarning(`a breaker's classifier ${problem}; the default one decides`, 'SpillwayWarning');
    warned = true;
    return otherwise();
  };
  return {
    ofResult: (result) =>
      decide(
        () => classifier.ofResult(result),
        () => defaultClassifier.ofResult(result),
      ),
    ofError: (error, callerAborted) =>
      decide(
        () => classifier.ofError(error, callerAborted),
        () => defaultClassifier.ofError(error, callerAborted),
      ),
  };
}

/** The outcome that `given` is, fit to be counted and stored; undefined: it is none. */
function outcomeIn(given: unknown): Outcome | undefined {
  const kind = member(given, 'kind');
  if (kind === 'success') return success;
  if (kind === 'neutral') return member(given, 'answered') === true ? answered : neutral;
  if (kind !== 'failure' && kind !== 'quota') return undefined;
  const message = maskSecrets(textMember(given, 'message'));
  const wait = member(given, 'retryAfterMs');
  const retryAfterMs = typeof wait === 'number' && wait > 0 ? Math.min(Math.ceil(wait), DAY_MS) : 0;
  if (kind === 'quota') return retryAfterMs === 0 ? answered : { kind, retryAfterMs, message };
  const said = member(given, 'reason');
  const reason = said === 'timeout' || said === 'result' ? said : 'error';
  return { kind, reason, message, ...(retryAfterMs === 0 ? {} : { retryAfterMs }) };
}
