//! Golden exchanges: the bytes of a customer and the bytes of the answer.
