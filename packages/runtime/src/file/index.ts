export { applyFile, differenceOf } from './apply-file.ts';
export type { ApplyOptions, ApplyReport, FileChange, FileDifference } from './apply-file.ts';
export { exportFile } from './policy-file.ts';
export { takeFile, type TakeFileOptions } from './apply-file.ts';
export { PolicyFileError } from './placed-yaml.ts';
export type { FileProblem } from './placed-yaml.ts';
export { parsePolicyFile, plainPreset, presetOf, readPolicyFile } from './policy-file.ts';
export type { PolicyFile } from './policy-file.ts';
export { fileJsonSchema, presetSchema } from './schema.ts';
