import Type from 'typebox';

const Violation = Type.Object(
  {
    in: Type.Enum(['body', 'path', 'query', 'header']),
    pointer: Type.String({ description: 'JSON pointer into that part.', examples: ['/lines/0/quantity'] }),
    detail: Type.String({ examples: ['must be integer'] }),
  },
  { additionalProperties: false },
);

/** Problem details, RFC 9457. */
export const Problem = Type.Object(
  {
    type: Type.String({ examples: ['urn:jetledger:problem:user/not-found'] }),
    title: Type.String({ examples: ['User not found'] }),
    status: Type.Integer({ minimum: 400, maximum: 599, examples: [404] }),
    detail: Type.String({ description: 'What is wrong here and what to do.' }),
    code: Type.String({ description: 'Stable; branch on it.', examples: ['user/not-found'] }),
    requestId: Type.Optional(Type.String({ description: 'For a report to the operators.' })),
    traceId: Type.Optional(Type.String({ pattern: '^[0-9a-f]{32}$' })),
    errors: Type.Optional(Type.Array(Violation, { description: 'What is invalid; the first few.' })),
    details: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]), {
        description: 'What the refusal is about, for example the SKU.',
      }),
    ),
    currentVersion: Type.Optional(
      Type.Integer({ minimum: 0, description: 'What If-Match should have named.' }),
    ),
    lag: Type.Optional(
      Type.Integer({ minimum: 0, description: 'How many positions the read model is behind.' }),
    ),
  },
  {
    $id: 'Problem',
    additionalProperties: false,
    title: 'Problem',
    description: 'Problem details (RFC 9457).',
    examples: [
      {
        type: 'urn:jetledger:problem:user/not-found',
        title: 'User not found',
        status: 404,
        detail: 'Check the id. What was just written may need a moment: send its Position as Min-Position.',
        code: 'user/not-found',
        requestId: '0198c5a4-6c1e-7c7f-9d8e-0d9f2b1c3a4e',
      },
    ],
  },
);

export const Live = Type.Object(
  { status: Type.Literal('live'), version: Type.String(), environment: Type.String() },
  {
    $id: 'Live',
    additionalProperties: false,
    title: 'Liveness',
    examples: [{ status: 'live', version: '0.1.0', environment: 'production' }],
  },
);

export const Ready = Type.Object(
  {
    ok: Type.Boolean(),
    checks: Type.Record(
      Type.String(),
      Type.Object(
        { ok: Type.Boolean(), detail: Type.Optional(Type.String()) },
        { additionalProperties: false },
      ),
    ),
  },
  {
    $id: 'Ready',
    additionalProperties: false,
    title: 'Readiness: every check and why it fails',
    examples: [{ ok: true, checks: { log: { ok: true } } }],
  },
);
