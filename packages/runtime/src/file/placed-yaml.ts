import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';

/** One thing that is wrong in a file. */
export interface FileProblem {
  /** From 1 on. */
  readonly line: number;
  /** From 1 on, in characters. */
  readonly column: number;
  /** Where in the content: `policies.strict.limit`; '' for the file as a whole. */
  readonly field: string;
  readonly problem: string;
}

/** A `spillway.yaml` that can't be used. The message has a line for each problem: `spillway.yaml:3:12: policies.strict.limit must be …`. */
export class PolicyFileError extends Error {
  readonly code = 'invalid_policy_file';
  override readonly name = 'PolicyFileError';
  readonly file: string;
  /** In the order of the file. */
  readonly problems: readonly FileProblem[];

  constructor(file: string, problems: readonly FileProblem[]) {
    const sorted = problems.toSorted((one, other) => one.line - other.line || one.column - other.column);
    const lines = sorted.map(
      ({ line, column, field, problem }) => `${file}:${line}:${column}: ${field}${field === '' ? '' : ' '}${problem}`,
    );
    super(lines.join('\n'));
    this.file = file;
    this.problems = sorted;
  }
}

/** Where something is: names and numbers from the root on. */
export type Place = readonly (string | number)[];

/** A document's value, and where its parts stand. */
export interface PlacedText {
  readonly value: unknown;
  /** What zod found, with its place. */
  ofIssue(issue: z.core.$ZodIssue): FileProblem[];
  /** What a constructor said of one of its options, `policy strict: lease.size`, of the value at a place. */
  ofInput(at: Place, error: { readonly field: string; readonly problem: string }): FileProblem;
}

/** @throws {PolicyFileError} for what isn't one YAML document of plain values. */
export function parseYaml(source: string, file: string): PlacedText {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const at = (offset: number): Pick<FileProblem, 'line' | 'column'> => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const wrong = [...document.errors, ...document.warnings].map(({ pos: [offset], message }): FileProblem => {
    const { line, column } = at(offset);
    return { line, column, field: '', problem: message };
  });
  if (wrong.length > 0) throw new PolicyFileError(file, wrong);
  const value = valueOf(document, file);
  if (value === null || value === undefined) {
    const problem = 'is empty: it must have policies, overrides, lists, plans or breakers';
    throw new PolicyFileError(file, [{ line: 1, column: 1, field: '', problem }]);
  }
  const problemAt = (place: Place, problem: string, offset = valueOffset(document, place)): FileProblem => ({
    ...at(offset),
    field: place.join('.'),
    problem,
  });
  return {
    value,
    ofIssue: (issue) => {
      const place = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((key) =>
          problemAt([...place, key], 'is not an option here', keyOffset(document, [...place, key])),
        );
      }
      const name = issue.code === 'invalid_key';
      const message = name ? (issue.issues[0]?.message ?? issue.message) : issue.message;
      return [problemAt(place, message, name ? keyOffset(document, place) : undefined)];
    },
    ofInput: (place, { field, problem }) => {
      const option = field.replace(/^(?:policy|preset) [^:.]*(?:: |\.)/u, '');
      // Of an override as a whole, or of a scalar, there is no inner place.
      const isWhole = option === 'override' || !isMap(document.getIn(place, true));
      return problemAt(isWhole ? place : [...place, ...option.split('.')], problem);
    },
  };
}

/** Aliases are followed, up to a hundred times: a small file must not become a large value. */
function valueOf(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new PolicyFileError(file, [{ line: 1, column: 1, field: '', problem }]);
  }
}

/** Where the value begins; of one that isn't there, where the innermost one begins that it belongs to. */
function valueOffset(document: Document.Parsed, place: Place): number {
  for (let length = place.length; length > 0; length -= 1) {
    const node: unknown = document.getIn(place.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range[0] ?? 0;
}

/** Where the key begins that names the place. */
function keyOffset(document: Document.Parsed, place: Place): number {
  const parent: unknown = place.length === 1 ? document.contents : document.getIn(place.slice(0, -1), true);
  const key = isMap(parent) ? parent.items.find((pair) => keyOf(pair.key) === String(place.at(-1)))?.key : undefined;
  return isNode(key) && key.range ? key.range[0] : valueOffset(document, place);
}

function keyOf(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}
