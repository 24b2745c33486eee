# Golden values of tests/unit/stats/test_golden_random_designs.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/random_designs.R      (run in the repository's root)
# Writes beside this script: random_designs.csv (the options of each design), random_data.csv (its rows),
# random_replicates.csv (replicate weights, one row's in one field) and random_results.csv.
suppressMessages(library(survey))
options(digits = 17, warn = 1)
folder <- "tests/golden"
fmt <- function(v, digits = 17) ifelse(is.na(v) & !is.nan(v), "", sprintf("%.*g", digits, v))
pick <- function(x) x[[sample(length(x), 1)]]
# The options go round in cycles of different length, so that each meets each other in some design.
cycle <- function(values, i) values[[(i - 1) %% length(values) + 1]]

# A sample of one to three stages: units of stage 1 in strata, then units within units.
draw <- function(strata, stages, lonely, waves) {
  rows <- list()
  lone <- if (lonely) sample(strata, 1 + (length(strata) > 3)) else character()
  for (h in strata) {
    n1 <- if (h %in% lone) 1 else sample(if (length(strata) == 1) 5:8 else 2:5, 1)
    N1 <- n1 + pick(c(0, 3, 17, 60)) + (h %in% lone)
    for (a in seq_len(n1)) {
      n2 <- if (stages >= 2) sample(c(1:3, if (stages == 2) 4), 1) else sample(1:4, 1)
      N2 <- n2 + pick(c(0, 2, 9))
      # One unit of several is a lonely unit of the second stage: only where a rule for it is in force.
      if (n2 == 1 && !lonely) N2 <- 1
      for (b in seq_len(n2)) {
        n3 <- if (stages == 3) sample(1:3, 1) else 1
        N3 <- n3 + pick(c(0, 1, 5))
        if (n3 == 1 && !lonely) N3 <- 1
        for (k in seq_len(n3)) {
          rows[[length(rows) + 1]] <- data.frame(h = h, p1 = paste0(h, a), p2 = b, p3 = k, N1 = N1, N2 = N2, N3 = N3)
        }
      }
    }
  }
  rows <- do.call(rbind, rows)
  if (waves == 2) {
    kept <- rows[runif(nrow(rows)) < 0.75, ]
    rows <- rbind(cbind(rows, wave = 1), cbind(kept, wave = 2))
  } else rows$wave <- 1
  rows
}

measures <- function(rows, missing, zero) {
  n <- nrow(rows)
  effect <- rnorm(length(unique(rows$p1)))[match(rows$p1, unique(rows$p1))]
  rows$w <- round(exp(rnorm(n, 2, 0.6)), 3)
  if (zero) rows$w[sample(n, max(1, n %/% 8))] <- 0
  rows$d <- sample(c("A", "B", "C"), n, TRUE, c(0.5, 0.4, 0.1))
  rows$g <- sample(rep_len(c("u", "v", "x"), n))
  rows$k <- sample(rep_len(c("s", "t"), n))
  rows$x <- round(exp(rnorm(n, 2, 0.5)), 2)
  rows$y <- as.numeric(rnorm(n) + effect > 0.2)
  rows$z <- round(100 + 10 * effect + 8 * rnorm(n), 2)
  if (missing) {
    rows$y[runif(n) < 0.12] <- NA
    rows$z[runif(n) < 0.12] <- NA
  }
  rows
}

adjusted <- function(design, kind, rows, w) {
  about <- function(code) {
    sums <- tapply(w, code, sum)
    round(sums * runif(length(sums), 0.85, 1.2), 2)
  }
  g <- about(rows$g)
  k <- about(rows$k)
  k <- k * sum(g) / sum(k)
  vector <- c(`(Intercept)` = sum(g), gv = g[["v"]], gx = g[["x"]], x = round(sum(w * rows$x) * 1.04, 2))
  control <- function(...) suppressWarnings(calibrate(design, ~ g + x, vector, epsilon = 1e-13, maxit = 500, ...))
  made <- switch(kind,
    none = design,
    poststratify = postStratify(design, ~g, data.frame(g = names(g), Freq = as.numeric(g))),
    rake = rake(design, list(~g, ~k), list(data.frame(g = names(g), Freq = as.numeric(g)),
      data.frame(k = names(k), Freq = as.numeric(k))), control = list(epsilon = 1e-12, maxit = 500, verbose = FALSE)),
    linear = control(), raking = control(calfun = "raking"),
    logit = control(calfun = "logit", bounds = c(0.2, 4)))
  totals <- switch(kind, none = "", poststratify = paste(sprintf("g=%s:%.17g", names(g), g), collapse = ";"),
    rake = paste(c(sprintf("g=%s:%.17g", names(g), g), sprintf("k=%s:%.17g", names(k), k)), collapse = ";"),
    paste(sprintf("%s:%.17g", c("1", "g=v", "g=x", "x"), vector), collapse = ";"))
  list(design = made, totals = totals)
}

statistics <- function(design, rows, replicate) {
  out <- list()
  add <- function(statistic, measure, domain, n, sum_w, estimate, se, df, deff = NA, deff_replace = NA) {
    out[[length(out) + 1]] <<- data.frame(statistic, measure, domain, n, sum_w, estimate, se, df, deff, deff_replace)
  }
  inside <- list(all = rep(TRUE, nrow(rows)), A = rows$d == "A", B = rows$d == "B", C = rows$d == "C",
                 wave1 = rows$wave == 1, wave2 = rows$wave == 2)
  if (all(rows$wave == 1)) inside <- inside[1:4]
  for (domain in names(inside)) for (measure in c("y", "z")) {
    used <- inside[[domain]] & !is.na(rows[[measure]])
    if (sum(used & weights(design, "sampling") != 0) < 2) next
    part <- suppressWarnings(subset(design, used))
    w <- weights(part, "sampling")
    df <- degf(part)
    for (statistic in c("mean", "total")) {
      f <- if (statistic == "mean") svymean else svytotal
      one <- suppressWarnings(f(reformulate(measure), part, na.rm = TRUE, deff = TRUE))
      two <- suppressWarnings(f(reformulate(measure), part, na.rm = TRUE, deff = "replace"))
      add(statistic, measure, domain, if (replicate) length(w) else sum(w != 0), sum(w), coef(one),
          as.numeric(SE(one)), df, as.numeric(deff(one)), as.numeric(deff(two)))
    }
    ratio <- suppressWarnings(svyratio(reformulate(measure), ~x, part, na.rm = TRUE))
    add("ratio", measure, domain, if (replicate) length(w) else sum(w != 0), sum(w), coef(ratio),
        as.numeric(SE(ratio)), df)
  }
  if (replicate) return(do.call(rbind, out))
  # A difference is the total of the difference of the two linearised variables, over the rows of both domains.
  pairs <- list(c("A", "B"))
  if ("wave1" %in% names(inside)) pairs <- c(pairs, list(c("wave1", "wave2")))
  for (pair in pairs) for (measure in c("y", "z")) {
    value <- ifelse(is.na(rows[[measure]]), 0, rows[[measure]])
    w <- weights(design, "sampling")
    side <- lapply(inside[pair], function(member) {
      used <- member & !is.na(rows[[measure]])
      N <- sum(w[used])
      p <- sum(w[used] * value[used]) / N
      list(used = used, p = p, v = used * (value - p) / N)
    })
    if (any(!is.finite(c(side[[1]]$p, side[[2]]$p)))) next
    whole <- design
    whole$variables$v <- side[[1]]$v - side[[2]]$v
    both <- suppressWarnings(subset(whole, side[[1]]$used | side[[2]]$used))
    se <- suppressWarnings(as.numeric(SE(svytotal(~v, both))))
    w <- weights(both, "sampling")
    add("difference", measure, paste(pair, collapse = "-"), sum(w != 0), sum(w), side[[1]]$p - side[[2]]$p, se, degf(both))
  }
  do.call(rbind, out)
}

designs <- data <- replicates <- results <- list()
for (i in 1:96) {
  set.seed(31000 + i)
  stages <- cycle(c(0, 1, 2, 1, 3, 2, 1), i)
  stratified <- cycle(c(TRUE, TRUE, TRUE, FALSE), i)
  rule <- cycle(c("fail", "adjust", "average", "certainty", "remove"), i)
  in_domain <- cycle(c(FALSE, TRUE, TRUE), i)
  kind <- cycle(c("none", "none", "poststratify", "none", "rake", "linear", "none", "raking", "none", "logit", "none"), i)
  populations <- if (stages == 0) cycle(c(1, 0), i) else cycle(list(stages, 0, stages), i)
  weighted <- !(populations == max(stages, 1) && i %% 4 == 1)
  waves <- cycle(c(1, 1, 2, 1, 1), i)
  strata <- if (stratified) paste0("h", letters[seq_len(sample(3:5, 1))]) else "ha"
  lonely <- rule != "fail" && stratified
  rows <- draw(strata, if (stages == 0) 2 else stages, lonely, waves)
  if (stages == 0) {
    rows <- rows[rows$wave == 1, ]
    rows$p1 <- paste0("i", seq_len(nrow(rows)))
    rows$N1 <- ave(rows$N1, rows$h, FUN = function(v) length(v) + 40)
  }
  if (populations == 0 && !lonely) rows <- subset(rows, ave(as.numeric(factor(p1)), h, FUN = function(v) length(unique(v))) > 1)
  # Populations as sampling fractions in one design of six.
  fractions <- populations > 0 && i %% 6 == 0
  rows <- measures(rows, missing = i %% 3 != 0, zero = weighted && kind %in% c("none", "poststratify") && i %% 5 == 3)
  rownames(rows) <- NULL
  if (fractions) {
    count <- function(id, by) ave(as.numeric(factor(id)), by, FUN = function(v) length(unique(v)))
    u2 <- paste(rows$p1, rows$p2)
    n1 <- count(rows$p1, rows$h)
    rows$N1 <- round(n1 / rows$N1, 6)
    rows$N2 <- round(count(u2, rows$p1) / rows$N2, 6)
    rows$N3 <- round(count(paste(u2, rows$p3), u2) / rows$N3, 6)
  }
  options(survey.lonely.psu = rule, survey.adjust.domain.lonely = in_domain)
  call <- list(ids = if (stages == 0) ~1 else reformulate(paste0("p", seq_len(stages))), data = rows)
  if (stratified) call$strata <- ~h
  if (populations > 0) call$fpc <- reformulate(paste0("N", seq_len(populations)))
  if (weighted) call$weights <- ~w
  whole <- suppressWarnings(do.call(svydesign, call))
  w <- weights(whole, "sampling")
  made <- adjusted(whole, kind, rows, w)
  results[[i]] <- cbind(design = i, statistics(made$design, rows, FALSE))
  designs[[i]] <- data.frame(design = i, strata = stratified, stages = stages, populations = populations,
    weighted = weighted, lonely_psu = rule, lonely_psu_in_domain = in_domain, calibration = kind,
    totals = made$totals, replicates = "", scale = NA, rscales = "", mse = NA, degf = NA)
  data[[i]] <- cbind(design = i, rows)
}

types <- c("JK1", "JKn", "BRR", "Fay", "bootstrap", "subbootstrap", "JKn", "JK1", "mrbbootstrap", "BRR", "JKn", "bootstrap")
for (i in 97:120) {
  set.seed(31000 + i)
  type <- cycle(types, i)
  kind <- cycle(c("none", "none", "poststratify", "rake"), i)
  strata <- if (type == "JK1") "ha" else paste0("h", letters[1:4])
  repeat {
    rows <- draw(strata, 1, FALSE, 1)
    if (type %in% c("BRR", "Fay")) rows <- subset(rows, p1 %in% paste0(h, 1:2))
    if (all(tapply(rows$p1, rows$h, function(v) length(unique(v))) > 1)) break
  }
  rows <- measures(rows, missing = i %% 2 == 0, zero = FALSE)
  rownames(rows) <- NULL
  fpc <- type %in% c("JK1", "JKn", "mrbbootstrap") && i %% 3 != 0
  call <- list(ids = ~p1, data = rows, weights = ~w)
  if (type != "JK1") call$strata <- ~h
  if (fpc) call$fpc <- ~N1
  # Dropping the replicates of census strata, R leaves their rows out of the replicate totals but, with mse, not out
  # of the centre.
  options(survey.lonely.psu = "fail", survey.adjust.domain.lonely = FALSE, survey.drop.replicates = FALSE)
  whole <- do.call(svydesign, call)
  arguments <- list(whole, type = type, compress = FALSE, mse = i %% 2 == 1)
  if (type == "Fay") arguments$fay.rho <- 0.3
  if (grepl("bootstrap", type)) arguments$replicates <- 24
  rep <- do.call(as.svrepdesign, arguments)
  made <- adjusted(rep, kind, rows, rows$w)
  # Calibrated replicates are a set of weights each; the others are factors of the weight.
  values <- if (kind == "none") as.matrix(made$design$repweights) else weights(made$design, "analysis")
  results[[i]] <- cbind(design = i, statistics(made$design, rows, TRUE))
  designs[[i]] <- data.frame(design = i, strata = type != "JK1", stages = 1, populations = as.numeric(fpc),
    weighted = TRUE, lonely_psu = "fail", lonely_psu_in_domain = FALSE, calibration = kind, totals = made$totals,
    replicates = type, scale = made$design$scale, rscales = paste(fmt(made$design$rscales), collapse = ";"),
    mse = made$design$mse, degf = degf(made$design))
  data[[i]] <- cbind(design = i, rows)
  replicates[[i]] <- data.frame(design = i, weight = fmt(weights(made$design, "sampling")),
    replicates = apply(values, 1, function(v) paste(fmt(v), collapse = ";")))
}

write <- function(table, name, digits = 17) {
  numbers <- sapply(table, is.numeric)
  table[numbers] <- lapply(table[numbers], fmt, digits = digits)
  table[!numbers] <- lapply(table[!numbers], function(v) ifelse(is.na(v), "", as.character(v)))
  write.csv(table, file.path(folder, name), row.names = FALSE, quote = FALSE)
}
write(do.call(rbind, designs), "random_designs.csv")
write(do.call(rbind, data), "random_data.csv", digits = 15)
write(do.call(rbind, replicates), "random_replicates.csv")
write(do.call(rbind, results), "random_results.csv")
