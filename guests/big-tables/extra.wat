;; 2,000,000 elements of 8 bytes, 24 MiB of memory, and more memories and tables than most.
(module
  (memory 384)
  (memory 1)
  (memory 1)
  (memory 1)
  (table 2000000 funcref)
  (table 10 funcref)
  (table 10 funcref)
  (table 10 funcref)
  (table 10 funcref))
