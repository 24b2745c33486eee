# Golden values of tests/unit/stats/test_golden_calibration_levels.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/calibration_levels.R      (run in the repository's root)
# Calibration with one factor a household (aggregate.stage), minimum entropy by make.calfun, categorical margins with a
# continuous total, truncated linear, bounds of the weights, trimming, and raking to margins of 26, 10 and 5 levels.
# Writes calibration_levels_data.csv, _weights.csv, _results.csv, and calibration_rake_data.csv.
suppressMessages(library(survey))
options(digits = 17, survey.lonely.psu = "fail")
set.seed(20261125)
folder <- "tests/golden"

# Households of one to five persons in two strata; one weight in each.
size <- sample(1:5, 60, replace = TRUE, prob = c(.3, .3, .2, .1, .1))
hh <- rep(seq_along(size), size)
n <- length(hh)
data <- data.frame(hh = hh, h = ifelse(hh <= 25, "a", "b"), size = size[hh])
data$fpc <- c(a = 500, b = 900)[data$h]
data$type <- c("H", "F")[1 + (data$size > 1)]
data$sex <- sample(c("F", "M"), n, replace = TRUE)
data$reg <- sample(c("N", "S", "W"), n, replace = TRUE, prob = c(.5, .3, .2))
data$age <- sample(c("mid", "old", "young"), n, replace = TRUE)
data$emp <- round(exp(rnorm(n, 3, .6)), 1)
data$y <- as.numeric(runif(n) < plogis(-1 + .6 * (data$sex == "M") + .02 * data$emp))
data$w <- round((c(a = 20, b = 25)[data$h] * runif(60, .8, 1.2)[hh]), 3)
data$share <- 1 / data$size
write.csv(data[c("hh", "h", "fpc", "type", "sex", "reg", "age", "emp", "y", "w")],
          file.path(folder, "calibration_levels_data.csv"), row.names = FALSE, quote = FALSE)

base <- svydesign(ids = ~hh, strata = ~h, fpc = ~fpc, weights = ~w, data = data)
# Totals near those of the sample, rounded.
near <- function(x, times) round(sum(data$w * x) * times, 1)
persons <- near(1, 1.05)
both <- c(`(Intercept)` = persons, sexM = near(data$sex == "M", 1.1), regS = near(data$reg == "S", 1.0),
          regW = near(data$reg == "W", 1.1), ageold = near(data$age == "old", 0.98),
          ageyoung = near(data$age == "young", 1.12), emp = near(data$emp, 1.07))
# Persons by sex, households by type, in one go: a household counts by way of 1/size for each member.
levels_of <- c(sexF = near(data$sex == "F", 1.03), sexM = near(data$sex == "M", 1.04),
               `share:typeF` = near(data$share * (data$type == "F"), 1.06),
               `share:typeH` = near(data$share * (data$type == "H"), 0.97))
tot <- function(formula, values, ...) calibrate(base, formula, values, epsilon = 1e-13, maxit = 500, ...)
entropy <- make.calfun(Fm1 = function(u, bounds) 1 / (1 - u) - 1, dF = function(u, bounds) 1 / (1 - u)^2, name = "entropy")
mixed <- ~sex + reg + age + emp
household <- ~0 + sex + share:type

cases <- list(
  mixed_linear = tot(mixed, both),
  mixed_raking = tot(mixed, both, calfun = "raking"),
  mixed_entropy = tot(mixed, both, calfun = entropy),
  mixed_logit = tot(mixed, both, calfun = "logit", bounds = c(0.6, 1.8)),
  mixed_truncated = tot(mixed, both, bounds = c(0.9, 1.25)),
  unit_linear = tot(mixed, both, aggregate.stage = 1),
  unit_raking = tot(mixed, both, calfun = "raking", aggregate.stage = 1),
  unit_logit = tot(mixed, both, calfun = "logit", bounds = c(0.5, 2), aggregate.stage = 1),
  unit_truncated = tot(mixed, both, bounds = c(0.85, 1.35), aggregate.stage = 1),
  unit_entropy = tot(mixed, both, calfun = entropy, aggregate.stage = 1),
  levels_raking = tot(household, levels_of, calfun = "raking", aggregate.stage = 1),
  levels_linear = tot(household, levels_of, aggregate.stage = 1),
  const_linear = tot(mixed, both, bounds = c(16.5, 30), bounds.const = TRUE),
  const_raking = tot(mixed, both, bounds = c(16.5, 30), bounds.const = TRUE, calfun = "raking"),
  trimmed = trimWeights(base, upper = 27, lower = 19, strict = TRUE)
)
weights_table <- data.frame(row = seq_len(n))
for (case in names(cases)) weights_table[[case]] <- sprintf("%.17g", weights(cases[[case]]))
write.csv(weights_table, file.path(folder, "calibration_levels_weights.csv"), row.names = FALSE, quote = FALSE)

totals <- rbind(data.frame(case = "totals_mixed", statistic = names(both), estimate = sprintf("%.17g", both), se = NA),
                data.frame(case = "totals_levels", statistic = names(levels_of), estimate = sprintf("%.17g", levels_of), se = NA))
results <- do.call(rbind, lapply(setdiff(names(cases), "trimmed"), function(case) {
  D <- cases[[case]]
  found <- list(mean = svymean(~y, D), total = svytotal(~y, D), domain_mean = svymean(~y, subset(D, reg == "S")))
  data.frame(case = case, statistic = names(found),
             estimate = sprintf("%.17g", sapply(found, function(f) as.vector(coef(f)))),
             se = sprintf("%.17g", sapply(found, function(f) as.vector(SE(f)))))
}))
write.csv(rbind(totals, results), file.path(folder, "calibration_levels_results.csv"), row.names = FALSE, quote = FALSE)

# Margins of 26, 10 and 5 levels.
m <- 1500
rows <- data.frame(a = sample(26, m, replace = TRUE), b = sample(10, m, replace = TRUE), c = sample(5, m, replace = TRUE))
rows$w <- round(runif(m, 1, 50), 2)
target <- rows$w * runif(m, .7, 1.4) * (1 + rows$a / 40)
rows$target <- signif(target, 6)
pop <- function(name) { s <- tapply(rows$target, rows[[name]], sum); setNames(data.frame(as.integer(names(s)), as.vector(s)), c(name, "Freq")) }
wide <- rake(svydesign(ids = ~1, weights = ~w, data = rows), list(~a, ~b, ~c), list(pop("a"), pop("b"), pop("c")),
             control = list(epsilon = 1e-14, maxit = 1000, verbose = FALSE))
rows$raked <- sprintf("%.17g", weights(wide))
write.csv(rows, file.path(folder, "calibration_rake_data.csv"), row.names = FALSE, quote = FALSE)
