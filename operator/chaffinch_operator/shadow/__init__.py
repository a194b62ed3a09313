"""The slice of ShadowEvaluation: the shadow service, its copies of requests, its verdict, and who may act on it."""
