# Golden values of tests/unit/stats/test_golden_growth.py, made with R 4.2.2 and metafor 3.8-1:
#   Rscript tests/golden/growth.R      (run in the repository's root)
# Writes growth_series.csv (series with the covariance of their sampling errors) and growth_results.csv (straight lines
# on two scales by rma.mv with given or REML process variance, its prediction with the process variance added, the
# random walk in matrices with its REML by optimize, Bass's curve by optim) beside this script.
suppressMessages(library(metafor))
options(digits = 17)
set.seed(70411)
folder <- "tests/golden"

series <- list()
for (n in c(3, 4, 6, 8, 9)) {
  years <- 2022 + seq_len(n) - 1
  if (n == 9) years <- years[-4] # a wave that was not held
  m <- length(years)
  p <- plogis(-1.4 + 0.22 * (years - 2022) + rnorm(m, 0, if (n > 5) 0.12 else 0.03))
  se <- runif(m, 0.004, 0.02)
  correlation <- 0.6^abs(outer(years, years, "-"))
  series[[length(series) + 1]] <- list(years = years, p = p, V = outer(se, se) * correlation)
}

number <- function(v) sprintf("%.17g", v)
results <- list()
horizon <- 2031
for (s in seq_along(series)) {
  one <- series[[s]]
  scales <- list(logit = list(z = qlogis(one$p), d = 1 / (one$p * (1 - one$p))),
                 gompertz = list(z = -log(-log(one$p)), d = -1 / (one$p * log(one$p))))
  t <- one$years - min(one$years)
  ahead <- horizon - min(one$years)
  X <- cbind(1, t)
  x <- c(1, ahead)
  for (name in names(scales)) {
    z <- scales[[name]]$z
    V <- scales[[name]]$d * t(scales[[name]]$d * one$V)
    data <- data.frame(z = z, t = t, id = factor(seq_along(z), levels = seq_along(z)))
    walk <- outer(t, t, pmin)
    for (process in c("independent", "random_walk")) {
      for (tau in c(0, 0.05, 0.1, 0.2, NA)) {
        if (is.na(tau) && length(z) < 6) next
        rule <- "given"
        if (is.na(tau)) {
          rule <- "reml"
          if (process == "independent") {
            fit <- rma.mv(z, V, mods = ~t, random = ~ 1 | id, data = data, method = "REML",
                          control = list(rel.tol = 1e-10))
            tau <- sqrt(fit$sigma2)
          } else {
            loss <- function(g) {
              O <- V + g^2 * walk
              W <- solve(O)
              A <- t(X) %*% W %*% X
              b <- solve(A, t(X) %*% W %*% z)
              r <- z - X %*% b
              as.numeric(determinant(O)$modulus + determinant(A)$modulus + t(r) %*% W %*% r)
            }
            best <- optimize(loss, c(0, 2), tol = 1e-12)
            tau <- if (loss(0) <= best$objective) 0 else best$minimum
          }
        }
        O <- V + tau^2 * (if (process == "independent") diag(length(t)) else walk)
        if (process == "independent") {
          given <- rma.mv(z, V, mods = ~t, random = ~ 1 | id, data = data, sigma2 = tau^2)
          forecast <- predict(given, newmods = ahead)
          centre <- forecast$pred
          variance <- forecast$se^2 + tau^2
        } else {
          W <- solve(O)
          c0 <- tau^2 * t
          M <- solve(t(X) %*% W %*% X)
          b <- M %*% t(X) %*% W %*% z
          g <- x - t(X) %*% W %*% c0
          centre <- sum(x * b) + sum(c0 * (W %*% (z - X %*% b)))
          variance <- tau^2 * ahead - sum(c0 * (W %*% c0)) + sum(g * (M %*% g))
        }
        results[[length(results) + 1]] <- data.frame(
          series = s, curve = name, process = process, rule = rule, tau = number(tau), year = horizon,
          centre = number(centre), variance = number(variance))
      }
    }
  }
  # Bass: q and logit F_0, innovation 0.03, tau 0.1, by minimising the same squares
  z <- scales$logit$z
  W <- solve(scales$logit$d * t(scales$logit$d * one$V) + 0.01 * diag(length(z)))
  m <- 0.03
  bass <- function(par, t) {
    f <- plogis(par[1])
    E <- (m + par[2] * f) / (1 - f) * exp((m + par[2]) * t)
    qlogis((E - m) / (E + par[2]))
  }
  loss <- function(par) {
    r <- z - bass(par, t)
    sum(r * (W %*% r))
  }
  best <- optim(c(z[1], 0.3), loss, control = list(reltol = 1e-15, maxit = 20000))
  best <- optim(best$par, loss, control = list(reltol = 1e-15, maxit = 20000))
  gradient <- function(t) sapply(1:2, function(k) {
    h <- replace(c(0, 0), k, 1e-5)
    (bass(best$par + h, t) - bass(best$par - h, t)) / 2e-5
  })
  J <- gradient(t)
  g <- gradient(ahead)
  results[[length(results) + 1]] <- data.frame(
    series = s, curve = "bass", process = "independent", rule = "given", tau = "0.1", year = horizon,
    centre = number(bass(best$par, ahead)), variance = number(sum(g * (solve(t(J) %*% W %*% J) %*% g)) + 0.01))
}
long <- do.call(rbind, lapply(seq_along(series), function(s) {
  one <- series[[s]]
  grid <- expand.grid(a = seq_along(one$years), b = seq_along(one$years))
  data.frame(series = s, year = one$years[grid$a], other = one$years[grid$b], p = number(one$p[grid$a]),
             covariance = number(one$V[cbind(grid$a, grid$b)]))
}))
write.csv(long, file.path(folder, "growth_series.csv"), row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, results), file.path(folder, "growth_results.csv"), row.names = FALSE, quote = FALSE)
