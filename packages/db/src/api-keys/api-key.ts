import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';

/** A key, taken apart. */
export interface ApiKeyParts {
  /** UUID. */
  readonly id: string;
  readonly secret: string;
}

/** A key that was just made: the only moment in which its secret is known. */
export interface GeneratedKey {
  readonly id: string;
  /** `sw_<id>_<secret>`, to be given to its owner. */
  readonly key: string;
  /** What is stored of it. */
  readonly secretHash: Buffer;
}

const FORMAT = /^sw_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_([\w-]{43})$/u;

/** Makes a key with 256 random bits. */
export function generateKey(): GeneratedKey {
  const id = randomUUID();
  const secret = randomBytes(32).toString('base64url');
  return { id, key: `sw_${id.replaceAll('-', '')}_${secret}`, secretHash: hashSecret(secret) };
}

/** Takes a key apart; undefined when it isn't one. */
export function parseKey(text: string): ApiKeyParts | undefined {
  const [, a, b, c, d, e, secret] = FORMAT.exec(text) ?? [];
  return secret === undefined ? undefined : { id: `${a}-${b}-${c}-${d}-${e}`, secret };
}

/**
 * SHA-256, and no slow hash such as bcrypt on purpose: those make guessing a password dear, and 256 random bits can't be
 * guessed at any price. What a slow hash would do here is let anybody burn our CPU with made-up keys.
 */
function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Compares in a time that tells nothing about where they differ. */
export function secretMatches(secret: string, hash: Buffer): boolean {
  const given = hashSecret(secret);
  return given.length === hash.length && timingSafeEqual(given, hash);
}
