//! Sessions of bytes: who may say what when.
