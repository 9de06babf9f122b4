/*
 * What errors of databases, file servers and directories mean that carry no HTTP status. Most say in a code of their own
 * whether the request was wrong or the server is unwell; without a reader a missing file would count as an outage.
 */
import { member, textMember } from './error-text.ts';
import { believed, failure, httpStatus, ofAnswer, ofQuota, type Reader } from './http.ts';
import { answered, neutral } from './outcome.ts';

/** Object stores whose clients keep the code of S3 or Azure and drop the status, as MinIO's does. */
const STORE_CODES = new Set(
  `NoSuchKey NoSuchBucket NoSuchVersion NoSuchUpload NoSuchEntity NotFound AccessDenied PreconditionFailed InvalidRange
   BucketAlreadyExists BucketNotEmpty EntityTooLarge InvalidObjectName InvalidBucketName BlobNotFound ContainerNotFound`.split(
    /\s+/,
  ),
);

/** Node's files, and SFTP, which borrows the codes. */
const FILE_CODES = new Set('ENOENT EEXIST ENOTDIR EISDIR ENOTEMPTY ENAMETOOLONG ELOOP EACCES EPERM'.split(' '));

export const ofStore: Reader = (error, _, text) => {
  const code = textMember(error, 'code') || textMember(error, 'Code');
  const name = textMember(error, 'name');
  if (STORE_CODES.has(code) || STORE_CODES.has(name)) return answered;
  if (name === 'S3Error' && code !== '') {
    return /^(?:Internal|ServiceUnavailable|NotImplemented|Unknown|Busy|XMinio)/.test(code)
      ? failure(text, 'error')
      : answered;
  }
  // A path that is opened; that of a program that is started, or the socket of a server, is no file of the caller's.
  const ofFile = typeof member(error, 'path') === 'string' || member(error, 'custom') === true;
  return ofFile && FILE_CODES.has(code) && !/^(?:spawn|connect)/.test(textMember(error, 'syscall'))
    ? answered
    : undefined;
};

const FTP_ANSWERS = new Set([450, 500, 501, 502, 503, 504, 550, 551, 553]);
const SFTP_ANSWERS: ReadonlyMap<unknown, RegExp> = new Map([
  [2, /no such file/i],
  [3, /permission denied/i],
  [11, /already exists/i],
]);

/** FTP's replies look like HTTP's and mean the reverse: 421 closes the connection, 550 is a missing file. */
export const ofFileServer: Reader = (error, _, text) => {
  const code = member(error, 'code');
  if (SFTP_ANSWERS.get(code)?.test(textMember(error, 'message')) === true) return answered;
  if (textMember(error, 'name') !== 'FTPError' || typeof code !== 'number') return undefined;
  return FTP_ANSWERS.has(code) ? answered : failure(text, 'error');
};

/** LDAP: what the directory says of an entry, or of a user's password. Others (busy, unavailable) are failures. */
const LDAP_ANSWERS = new Set(
  `InvalidCredentials InappropriateAuthentication NoSuchObject NoSuchAttribute AlreadyExists EntryAlreadyExists
   ConstraintViolation InsufficientAccess InsufficientAccessRights InvalidDNSyntax InvalidDnSyntax NamingViolation
   ObjectclassViolation ObjectClassViolation NotAllowedOnNonLeaf NotAllowedOnNonleaf NotAllowedOnRDN NotAllowedOnRdn
   AttributeOrValueExists TypeOrValueExists InvalidAttributeSyntax InvalidSyntax SizeLimitExceeded`
    .split(/\s+/)
    .map((name) => `${name}Error`),
);

export const ofDirectory: Reader = (error) =>
  typeof member(error, 'code') === 'number' && LDAP_ANSWERS.has(textMember(error, 'name')) ? answered : undefined;

/** MongoDB: network, no primary, shutting down, out of memory or disk, credentials. Others are the command's own fault. */
const MONGO_FAILURES = new Set([
  1, 6, 7, 8, 18, 63, 89, 91, 133, 134, 146, 150, 189, 202, 262, 8000, 9001, 10_107, 11_600, 11_602, 13_388, 13_435,
  13_436, 14_031,
]);
const MONGO_MAX_TIME = 50;

export const ofMongo: Reader = (error, _, text) => {
  const code = member(error, 'code');
  if (typeof code !== 'number' || !/^Mongo(?:Server|BulkWrite)Error$/.test(textMember(error, 'name'))) return undefined;
  if (code === MONGO_MAX_TIME) return failure(text, 'timeout');
  return MONGO_FAILURES.has(code) ? failure(text, 'error') : answered;
};

/** MySQL's numbers whose SQLSTATE is a general one: HY000 of wrong values and lock waits, 42000 of a user's limits. */
const MYSQL_ANSWERS = new Set([1205, 1364, 1366, 1411, 3819]);
const MYSQL_FAILURES = new Set([1203, 1226]);
const MYSQL_TIMEOUT = 3024;
/** SQL Server: the class tells, but for throttling, a database that is away, and logins. */
const MSSQL_FAILURES = new Set([4060, 10_928, 10_929, 18_401, 18_456, 40_197, 40_501, 40_613, 49_918, 49_919, 49_920]);
/** Oracle: constraints, missing and wrong values. */
const ORACLE_ANSWERS = new Set([1, 1400, 1403, 1407, 1438, 1722, 2290, 2291, 2292, 12_899]);

/** Node's SQLite gives numbers, whose low byte tells: too big, constraint, mismatch, range. */
const SQLITE_ANSWERS = new Set([18, 19, 20, 25]);

/** Numbers of their own: mysql2, tedious and mssql, oracledb; and SQLite's codes. */
export const ofNumberedSql: Reader = (error, _, text) => {
  const code = textMember(error, 'code');
  if (code === 'ERR_SQLITE_ERROR' && SQLITE_ANSWERS.has(Number(member(error, 'errcode')) & 0xff)) return answered;
  if (/^SQLITE_(?:CONSTRAINT|MISMATCH|RANGE|TOOBIG)/.test(code)) return answered;
  if (ORACLE_ANSWERS.has(Number(member(error, 'errorNum')))) return answered;
  if (textMember(error, 'sqlState') !== '') {
    const number = Number(member(error, 'errno'));
    if (number === MYSQL_TIMEOUT) return failure(text, 'timeout');
    if (MYSQL_FAILURES.has(number)) return failure(text, 'error');
    return MYSQL_ANSWERS.has(number) ? answered : undefined;
  }
  const severity = member(error, 'class');
  if (code !== 'EREQUEST' || typeof severity !== 'number') return undefined;
  return severity > 16 || MSSQL_FAILURES.has(Number(member(error, 'number'))) ? failure(text, 'error') : answered;
};

/** Object mappers: what they refuse before the database is asked, and records that they did not find. */
const MAPPER_ANSWERS = new Set([
  'DocumentNotFoundError',
  'EntityNotFoundError',
  'SequelizeEmptyResultError',
  'SequelizeOptimisticLockError',
  'SequelizeValidationError',
]);

export const ofMapper: Reader = (error) => {
  const name = textMember(error, 'name');
  // Mongoose's, by more than a name that others have too.
  const isMongoose =
    (name === 'ValidationError' && member(error, '_message') !== undefined) ||
    (name === 'CastError' && member(error, 'kind') !== undefined);
  return isMongoose || MAPPER_ANSWERS.has(name) ? answered : undefined;
};

/** What Redis says of a command that was wrong. Others (LOADING, OOM, READONLY, NOAUTH, …) are its own state. */
const REDIS_ANSWERS =
  /^(?:(?:WRONGTYPE|BUSYKEY|BUSYGROUP|NOGROUP|NOSCRIPT|EXECABORT|INVALIDOBJ|UNKILLABLE|CROSSSLOT)\b|ERR (?:syntax|value|wrong number|unknown (?:command|subcommand)|index|invalid|no such key|increment|min or max|Protocol))/;

export const ofRedis: Reader = (error) =>
  /^(?:ReplyError|SimpleError|ErrorReply)$/.test(textMember(error, 'name')) &&
  REDIS_ANSWERS.test(textMember(error, 'message'))
    ? answered
    : undefined;

const SLACK_FAILURES = /^(?:fatal_error|internal_error|service_unavailable|request_timeout)$/;

/** Slack's client: `ok: false` beside a status of 200, and its own code for a 429. Its other errors have a status or an original one. */
export const ofSlack: Reader = (error, bounds, text) => {
  const code = textMember(error, 'code');
  if (code === 'slack_webapi_rate_limited_error') {
    const seconds = member(error, 'retryAfter');
    const waitMs = typeof seconds === 'number' && seconds >= 0 ? believed(seconds * 1_000, bounds) : undefined;
    return ofQuota(waitMs, bounds, text);
  }
  if (code !== 'slack_webapi_platform_error') return undefined;
  const word = textMember(member(error, 'data'), 'error');
  if (/^rate_?limited$/.test(word)) return ofQuota(undefined, bounds, text);
  return SLACK_FAILURES.test(word) ? failure(text, 'error') : answered;
};

/** Telegram's bots: a status and a wait of its answer's body, in the error (grammY) or under `response` (Telegraf and others). */
export const ofTelegram: Reader = (error, bounds, text) => {
  const response = member(error, 'response');
  for (const place of [error, response, member(response, 'body')]) {
    const status = httpStatus(member(place, 'error_code'));
    if (status === undefined || status < 400) continue;
    const seconds = member(member(place, 'parameters'), 'retry_after');
    const headers = typeof seconds === 'number' ? { 'retry-after': seconds } : undefined;
    return ofAnswer(status, [headers], bounds, `HTTP ${status}: ${text}`);
  }
  return undefined;
};

/** Firebase, admin and browser: `auth/user-not-found`. */
export const ofFirebase: Reader = (error, bounds, text) => {
  const [, code = ''] = /^[a-z-]+\/([a-z-]+)$/.exec(textMember(error, 'code')) ?? [];
  if (code === '') return undefined;
  if (member(error, 'errorInfo') === undefined && textMember(error, 'name') !== 'FirebaseError') return undefined;
  if (/^cancell?ed$/.test(code)) return neutral;
  if (/timeout|deadline/.test(code)) return failure(text, 'timeout');
  if (/too-many|rate-exceeded|quota|resource-exhausted/.test(code)) return ofQuota(undefined, bounds, text);
  const ofServer = /internal|unavailable|unknown|network|retry-limit|data-loss|third-party-auth/.test(code);
  return ofServer || code.endsWith('credential') ? failure(text, 'error') : answered;
};

/** GraphQL: errors beside a status of 200. Graphql-request, Apollo and urql. */
export const ofGraphql: Reader = (error, bounds, text) => {
  const isCombined = textMember(error, 'name') === 'CombinedGraphQLErrors';
  const places = [member(member(error, 'response'), 'errors'), member(error, 'graphQLErrors')];
  if (isCombined) places.push(member(error, 'errors'));
  const errors = places.find((place): place is unknown[] => Array.isArray(place) && place.length > 0);
  const status = member(member(error, 'response'), 'status');
  if (errors === undefined || (typeof status === 'number' && status >= 400)) return undefined;
  const codes = errors.map((one) => textMember(member(one, 'extensions'), 'code'));
  if (codes.some((code) => /THROTTLED|RATE_?LIMIT|TOO_MANY_REQUESTS/.test(code))) {
    return ofQuota(undefined, bounds, text);
  }
  return codes.some((code) => /INTERNAL|UNAVAILABLE|TIMEOUT|DOWNSTREAM/.test(code)) ? failure(text, 'error') : answered;
};
