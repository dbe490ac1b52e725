engin   = "simulator"
clients = "five"
keep    = 1
timeout = "soon"

up {
  engine = ["auto", "simulator"]
  set    = [["a"], {}]
  set    = null
}

up "labelled" {
}

jop {
  run {
  }
}
