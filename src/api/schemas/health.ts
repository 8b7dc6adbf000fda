import Type from 'typebox';

export const Live = Type.Object(
  { status: Type.Literal('live'), version: Type.String(), environment: Type.String() },
  { $id: 'Live', additionalProperties: false, title: 'Liveness' },
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
  { $id: 'Ready', additionalProperties: false, title: 'Readiness: every check and why it fails' },
);
