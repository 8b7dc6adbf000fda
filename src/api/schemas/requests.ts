import Type from 'typebox';
import { POSITION_PATTERN } from '../position-token.ts';

const trace = {
  'X-Request-Id': Type.Optional(
    Type.String({
      description:
        'Kept as correlation id and echoed; another one is made when it is not 1 to 128 of A-Z, a-z, 0-9, ., _ and -.',
    }),
  ),
  traceparent: Type.Optional(Type.String({ description: 'W3C trace context; ignored when invalid.' })),
};

const idempotency = {
  'Idempotency-Key': Type.Optional(
    Type.String({
      pattern: '^[ -~]{1,128}$',
      description:
        'Chosen by the client, 1 to 128 printable ASCII characters. The same key and request take effect once and get the same answer; with another request it is refused (422). What a key created is remembered for ever, a key of a later change for the next 256 commands on the same user, product or order. Refusals are not remembered.',
      examples: ['6f1c2f1e-order-1'],
    }),
  ),
};

const precondition = {
  'If-Match': Type.Optional(
    Type.String({
      pattern: '^(\\*|"[0-9]{1,15}")$',
      description: 'The ETag of the version to change; 412 when it has changed since. `*`: it must exist.',
      examples: ['"42"'],
    }),
  ),
};

const reading = {
  'Min-Position': Type.Optional(
    Type.String({
      pattern: POSITION_PATTERN,
      description:
        'Answer with at least this position of the log, or with 504. As `Position` gave it, or its number alone, which a restored log cannot tell from one of its own (else 412).',
      examples: ['42'],
    }),
  ),
  Prefer: Type.Optional(
    Type.String({
      description:
        '`wait=N`: wait up to N seconds (at most 10) for Min-Position; 2 without it. Without Min-Position: for everything that is stored by now. 504 with the lag when that takes longer.',
      examples: ['wait=5'],
    }),
  ),
};

const unmodified = {
  'If-None-Match': Type.Optional(
    Type.String({
      description: 'The ETag that is known already; 304 when it is still so.',
      examples: ['"42"'],
    }),
  ),
};

const settling = {
  Prefer: Type.Optional(
    Type.String({
      description:
        '`wait=N`: wait up to N seconds (at most 10) until the order is confirmed, rejected or cancelled, and answer with that and Preference-Applied; otherwise the answer is the order as it was placed.',
      examples: ['wait=5'],
    }),
  ),
};

/** Headers of a creation. */
export const CreateHeaders = Type.Object({ ...idempotency, ...trace });
/** Headers of placing an order. */
export const PlaceHeaders = Type.Object({ ...idempotency, ...settling, ...trace });
/** Headers of a POST that changes something. */
export const ActionHeaders = Type.Object({ ...idempotency, ...precondition, ...trace });
/** Headers of a PATCH. */
export const PatchHeaders = Type.Object({ ...precondition, ...trace });
/** Headers of a query of a read model. */
export const ReadHeaders = Type.Object({ ...reading, ...trace });
/** Headers of a read of one entity. */
export const EntityHeaders = Type.Object({ ...reading, ...unmodified, ...trace });
/** Headers of everything else. */
export const PlainHeaders = Type.Object({ ...trace });
