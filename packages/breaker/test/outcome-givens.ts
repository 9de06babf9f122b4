/** What a function gave, or threw. */
export type Given = { readonly gave: unknown } | { readonly threw: unknown; readonly callerAborted?: boolean };

/** An error of that name. */
export class Named extends Error {
  constructor(name: string, members: object = {}, message = name) {
    super(message);
    Object.defineProperty(this, 'name', { value: name });
    Object.assign(this, members);
  }
}

/** Errors that a function threw. */
export const threw = (...errors: readonly unknown[]): Given[] => errors.map((error) => ({ threw: error }));

/** An error with that code. */
export const coded = (code: string, members: object = {}): Error =>
  Object.assign(new Error(code), { code, ...members });
